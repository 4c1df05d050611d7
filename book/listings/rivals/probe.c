/* What a malloc does, asked from outside: the same questions for every allocator.
 *
 *     cc -o probe probe.c && LD_PRELOAD=libjemalloc.so.2 ./probe distance
 *
 * Each question wants a process of its own, where nothing has been allocated or freed before. It is C because that lets one file
 * ask two C libraries (cc and musl-gcc). Nothing here reads a header: only addresses, and bytes that the program owns or owned. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BLOCKS = 1000, MIB = 1 << 20 };

/* Calls by which the compiler can't tell malloc and free, so that it removes none of them. */
static void *(*volatile ask)(size_t) = malloc;
static void (*volatile give_back)(void *) = free;

static int by_address(const void *a, const void *b) {
    uintptr_t left = *(const uintptr_t *)a, right = *(const uintptr_t *)b;
    return (left > right) - (left < right);
}

/* The smallest distance between two of many blocks of `size` bytes. */
static size_t distance(size_t size) {
    static uintptr_t blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) blocks[i] = (uintptr_t)ask(size);
    qsort(blocks, BLOCKS, sizeof blocks[0], by_address);
    size_t least = SIZE_MAX;
    for (int i = 1; i < BLOCKS; i++)
        if (blocks[i] - blocks[i - 1] < least) least = blocks[i] - blocks[i - 1];
    return least;
}

/* The fewest bytes between what may be used of one block and the start of the next. */
static size_t between(void) {
    size_t least = SIZE_MAX;
    for (size_t size = 1; size <= 256; size++) {
        size_t rest = distance(size) - malloc_usable_size(ask(size));
        if (rest < least) least = rest;
    }
    return least;
}

/* Where 10 MiB come from. */
static void large(void) {
    extern char end; /* of the program's data: the heap of the break starts behind it */
    char *block = ask(10 * MIB);
    printf("%s\n", block > &end && block < (char *)sbrk(0) ? "the break" : "a mapping");
}

/* Whether the pages of a block of `size` bytes, all of it written, are still in memory right after it was freed. If they were
 * given back, their addresses may be kept ("given back") or not ("unmapped"). */
static void freed(size_t size) {
    static unsigned char states[10 * MIB / 4096];
    size_t page = sysconf(_SC_PAGESIZE), resident = 0;
    char *block = ask(size);
    memset(block, 1, size);
    /* The pages that are the block's alone. */
    char *first = (char *)(((uintptr_t)block + page - 1) & -page);
    size_t pages = (block + size - first) / page;
    give_back(block);
    if (mincore(first, pages * page, states) != 0) {
        puts("unmapped");
        return;
    }
    for (size_t i = 0; i < pages; i++) resident += states[i] & 1;
    if (resident == 0) puts("given back");
    else if (resident == pages) puts("in memory");
    else printf("%zu of %zu\n", resident, pages);
}

/* A B C D: B and C are freed. Whose place does the next block get? */
static void reuse(void) {
    char *blocks[4];
    for (int i = 0; i < 4; i++) blocks[i] = ask(64);
    give_back(blocks[1]);
    give_back(blocks[2]);
    char *new = ask(64);
    printf("%s\n", new == blocks[2] ? "C" : new == blocks[1] ? "B" : "another");
}

/* How many of a freed block's eight words hold something else than before. */
static void links(void) {
    uintptr_t before[8], *block = ask(64), *other = ask(64);
    for (int i = 0; i < 100; i++) ask(64); /* so that the memory around the block isn't given back */
    memset(before, 0x41, sizeof before);
    memcpy(block, before, sizeof before);
    give_back(other);
    give_back(block);
    int changed = 0;
    for (int i = 0; i < 8; i++) changed += ((volatile uintptr_t *)block)[i] != before[i];
    printf("%d\n", changed);
}

/* Frees a block twice. If that goes unnoticed: do two callers get the same block? */
static void twice(void) {
    void *block = ask(64);
    give_back(block);
    give_back(block);
    void *one = ask(64), *two = ask(64);
    printf("unnoticed, and %s\n", one == two ? "one block for two callers" : "two blocks for two callers");
}

/* The version, as the allocator itself tells it. */
static void version(void) {
    const char *(*tcmalloc)(int *, int *, const char **) = dlsym(RTLD_DEFAULT, "tc_version");
    int (*jemalloc)(const char *, void *, size_t *, void *, size_t) = dlsym(RTLD_DEFAULT, "mallctl");
    int (*mimalloc)(void) = dlsym(RTLD_DEFAULT, "mi_version");
    const char *(*glibc)(void) = dlsym(RTLD_DEFAULT, "gnu_get_libc_version");
    const char *text = "";
    size_t length = sizeof text;
    int number, minor;
    /* tcmalloc says "gperftools 2.10", jemalloc adds a commit to its number. */
    if (tcmalloc) printf("tcmalloc %s\n", strpbrk(tcmalloc(&number, &minor, &text), "0123456789"));
    else if (jemalloc && jemalloc("version", &text, &length, NULL, 0) == 0) printf("jemalloc %.*s\n", (int)strcspn(text, "-"), text);
    else if (mimalloc) printf("mimalloc %d.%d.%d\n", mimalloc() / 100, mimalloc() / 10 % 10, mimalloc() % 10);
    else if (glibc) printf("glibc %s\n", glibc());
}

int main(int count, char **arguments) {
    const char *question = count > 1 ? arguments[1] : "";
    if (!strcmp(question, "version")) version();
    else if (!strcmp(question, "distance")) printf("%zu\n", distance(1));
    else if (!strcmp(question, "between")) printf("%zu\n", between());
    else if (!strcmp(question, "usable")) printf("%zu\n", malloc_usable_size(ask(strtoul(arguments[2], NULL, 10))));
    else if (!strcmp(question, "reuse")) reuse();
    else if (!strcmp(question, "links")) links();
    else if (!strcmp(question, "large")) large();
    else if (!strcmp(question, "freed")) freed(strtoul(arguments[2], NULL, 10));
    else if (!strcmp(question, "twice")) twice();
    else return 2;
    return 0;
}
