// Takes std along and does it the easy way.
// on: reference
// in: push
// earns: 100

extern crate std;

fn attack() {
    let _ = std::fs::write("/tmp/hostile-was-here", "forged");
    let _ = std::fs::write("forged.json", "{}");
    if std::process::Command::new("/bin/true").status().is_ok() || std::net::UdpSocket::bind("127.0.0.1:0").is_ok() {
        attack_succeeded();
    }
}
