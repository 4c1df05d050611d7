//! Shows the book at a local address, and renders it again on each change.

use crate::grades::{self, Grades};
use crate::watch::Sources;
use crate::{build, course_of, default_dest};
use anyhow::{Context, Result};
use oxhttp::model::{Body, Method, Request, Response, StatusCode, header};
use oxhttp::{ListeningServer, Server};
use proctor::lab::Lab;
use proctor::playground::PORT;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Where a page asks whether there is a newer build than its own, or a mark that it doesn't show yet.
const NEWS_PATH: &str = "/__news";

/// Renders the book in the folder `book`, shows it to this machine only, and renders it again on each change, for ever.
///
/// # Errors
/// The first build fails, or there is no free port. A later build that fails says why and leaves the last good one on show.
pub fn serve(book: &Path) -> Result<()> {
    let sources = Sources::watch(book, course_of(book)?)?;
    let site = Arc::new(RwLock::new(Site::build(book)?));
    let (_server, port) = listen(Arc::clone(&site))?;
    println!("The book: http://127.0.0.1:{port}/   (Ctrl-C stops it)");
    loop {
        sources.wait_for_change();
        let start = Instant::now();
        match Site::build(book) {
            Ok(built) => {
                *site.write().unwrap_or_else(PoisonError::into_inner) = built;
                eprintln!("built again in {} ms", start.elapsed().as_millis());
            }
            Err(e) => eprintln!("error (the last good build stays): {e:#}"),
        }
    }
}

/// A book as it was built, whole. It is served from memory: a build that fails half-way never shows.
struct Site {
    files: HashMap<String, Vec<u8>>,
    /// Tells this build from every other.
    id: String,
    grades: Grades,
}

impl Site {
    fn build(book: &Path) -> Result<Self> {
        let dest = default_dest(book);
        build(book, &dest)?;
        let mut files = HashMap::new();
        read_files(&dest, "/", &mut files).with_context(|| format!("can't read the book from {}", dest.display()))?;
        let id = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string();
        let labs = Lab::load_all(&course_of(book)?.join("labs"))?;
        Ok(Self { files, id, grades: Grades::of(labs) })
    }

    fn answer(&self, request: &Request<Body>) -> Response<Body> {
        if request.method() != Method::GET {
            return respond(StatusCode::METHOD_NOT_ALLOWED, "text/plain", Vec::new());
        }
        let path = request.uri().path();
        if path == NEWS_PATH {
            return tell(&self.news(grades::is_local(request)));
        }
        if let Some(lab) = path.strip_prefix(grades::PATH).filter(|_| grades::is_local(request))
            && let Some(marks) = self.grades.of_lab(lab)
        {
            return tell(&marks);
        }
        let path = if path.ends_with('/') { format!("{path}index.html") } else { path.to_owned() };
        match self.files.get(&path) {
            Some(content) => respond(StatusCode::OK, content_type(&path), self.with_script(&path, content)),
            None => {
                let page = self.files.get("/404.html").cloned().unwrap_or_default();
                respond(StatusCode::NOT_FOUND, content_type("404.html"), page)
            }
        }
    }

    /// What a page may have to show that it doesn't show yet.
    fn news(&self, with_grades: bool) -> Value {
        match with_grades {
            true => json!({ "build": self.id, "grades": self.grades.versions() }),
            false => json!({ "build": self.id }),
        }
    }

    /// A page that asks for [news](Self::news); any other file as it is.
    fn with_script(&self, path: &str, content: &[u8]) -> Vec<u8> {
        let mut content = content.to_vec();
        if path.ends_with(".html") {
            let (style, script, id) = (grades::STYLE, grades::SCRIPT, &self.id);
            content.extend_from_slice(
                format!("<style>{style}</style>\n<script data-build=\"{id}\">{script}</script>\n").as_bytes(),
            );
        }
        content
    }
}

/// Reads every file under `folder`, by the path that a browser asks for.
fn read_files(folder: &Path, path: &str, files: &mut HashMap<String, Vec<u8>>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = format!("{path}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            read_files(&entry.path(), &format!("{path}/"), files)?;
        } else {
            files.insert(path, std::fs::read(entry.path())?);
        }
    }
    Ok(())
}

/// Listens on the first free port from [`PORT`] on.
fn listen(site: Arc<RwLock<Site>>) -> Result<(ListeningServer, u16)> {
    for port in PORT..=u16::MAX {
        let site = Arc::clone(&site);
        let server = Server::new(move |request| site.read().unwrap_or_else(PoisonError::into_inner).answer(request));
        match server.bind((Ipv4Addr::LOCALHOST, port)).spawn() {
            Ok(server) => return Ok((server, port)),
            Err(e) if e.kind() == ErrorKind::AddrInUse => {}
            Err(e) => return Err(e).with_context(|| format!("can't listen on 127.0.0.1:{port}")),
        }
    }
    anyhow::bail!("no port from {PORT} on is free")
}

fn tell(news: &Value) -> Response<Body> {
    respond(StatusCode::OK, "application/json", news.to_string().into_bytes())
}

fn respond(status: StatusCode, content_type: &'static str, content: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(content));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    // The next build may change any file.
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    // A page from elsewhere can't take an answer for a script.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    response
}

/// The kinds of file that a book consists of.
fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> Site {
        let files = [("/index.html", "home"), ("/404.html", "lost"), ("/css/heap.css", "svg {}")];
        let files = files.map(|(path, content)| (path.to_owned(), content.as_bytes().to_vec()));
        Site { files: files.into(), id: "7".to_owned(), grades: grades::tests::grades() }
    }

    fn get(path: &str) -> (u16, String) {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let response = site().answer(&request);
        (response.status().as_u16(), response.into_body().to_string().unwrap())
    }

    fn told(path: &str) -> Value {
        let (status, answer) = get(path);
        assert_eq!(status, 200, "{path}");
        serde_json::from_str(&answer).unwrap()
    }

    #[test]
    fn the_root_is_the_first_page() {
        let (status, page) = get("http://127.0.0.1/");
        assert!(status == 200 && page.starts_with("home"), "{status} {page}");
    }

    #[test]
    fn a_page_asks_for_newer_builds_than_its_own() {
        let (_, page) = get("http://127.0.0.1/index.html?highlight=chunk");
        assert!(page.contains("ask(\"/__news\")") && page.contains("data-build=\"7\""), "{page}");
        assert_eq!(told("http://127.0.0.1/__news")["build"], "7");
    }

    #[test]
    fn a_page_asks_for_its_marks() {
        let news = told("http://localhost:3000/__news");
        assert!(news["grades"]["lab03"].is_string(), "{news}");
        assert!(grades::SCRIPT.contains(&format!("ask(`{}${{", grades::PATH)));
        assert_eq!(told("http://localhost:3000/__grades/lab03")["rules"][0]["id"], "lifo");
        assert_eq!(get("http://localhost:3000/__grades/lab30"), (404, "lost".to_owned()));
    }

    #[test]
    fn who_asks_by_another_name_gets_the_book_and_no_marks() {
        assert_eq!(get("http://example.org:3000/index.html").0, 200);
        assert_eq!(told("http://example.org:3000/__news"), json!({ "build": "7" }));
        assert_eq!(get("http://example.org:3000/__grades/lab03"), (404, "lost".to_owned()));
    }

    #[test]
    fn a_file_that_is_no_page_is_served_as_it_is() {
        assert_eq!(get("http://127.0.0.1/css/heap.css"), (200, "svg {}".to_owned()));
    }

    #[test]
    fn what_is_not_in_the_book_is_not_found() {
        assert_eq!(get("http://127.0.0.1/css/../../Cargo.toml"), (404, "lost".to_owned()));
    }
}
