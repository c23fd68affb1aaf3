//! `babyllama watch`: the page of a run in the browser.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::common::{RECIPE, Workspace};

/// A server that was started, and its port.
pub struct Watching {
    child: Child,
    pub port: u16,
}

impl Watching {
    pub fn begin(workspace: &Workspace, folder: &str) -> Self {
        let mut command = workspace.command(&["watch", folder]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let rest = line.strip_prefix(&format!("{folder} is at http://127.0.0.1:")).unwrap();
        let port = rest.split('/').next().unwrap().parse().unwrap();
        Self { child, port }
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let host = format!("Host: 127.0.0.1:{}", self.port);
        write!(stream, "GET {path} HTTP/1.1\r\n{host}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

#[test]
fn a_run_is_watched_until_it_is_interrupted() {
    let workspace = Workspace::new();
    workspace.write("small.toml", RECIPE.replace("epochs = 2", "max_steps = 6"));
    workspace.babyllama("run small.toml --only teacher").done();
    let mut watching = Watching::begin(&workspace, "runs/small");
    let page = watching.get("/");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    assert!(page.contains("curves.json") && page.contains("teacher"), "{page}");
    let curves = watching.get("/curves.json");
    assert!(curves.contains("teacher") && !curves.contains("undistilled"), "{curves}");
    assert!(watching.get("/models/teacher/metrics.jsonl").starts_with("HTTP/1.1 404 "));
    // What the run does meanwhile is there as soon as the page is not fresh any more.
    let news = watching.get("/news.json");
    workspace.babyllama("run small.toml").done();
    let begun = Instant::now();
    let has_student = || watching.get("/curves.json").contains("student");
    while !has_student() && begun.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(has_student() && watching.get("/news.json") != news);
    // A client that is slow does not hold up the end.
    let _slow = TcpStream::connect(("127.0.0.1", watching.port)).unwrap();
    let kill = format!("kill -INT {}", watching.child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let asked = Instant::now();
    let status = watching.child.wait().unwrap();
    assert!(status.success(), "{status}");
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
}

#[test]
fn trainings_evaluations_and_sweeps_are_watched_too() {
    let workspace = Workspace::new();
    let step = "{\"event\":\"step\",\"step\":1,\"loss\":7.25,\"tokens\":1,\"seconds\":1}\n";
    workspace.write("alone/metrics.jsonl", step);
    workspace.write("scores/m/model.json", "{\"models\":[\"gone\"]}");
    workspace.write("sweep/store.txt", "sqlite:store.db\n");
    for (folder, part) in [("alone", "its training stands at step 1"), ("scores", "gone")] {
        let watching = Watching::begin(&workspace, folder);
        assert!(watching.get("/").contains(part), "{folder}");
        let news = watching.get("/news.json");
        let loss = "{\"loss\":2.5,\"perplexity\":12.2,\"tokens\":9,\"files\":[]}";
        match folder {
            "alone" => {
                workspace.write("alone/metrics.jsonl", step.repeat(2).replace("1,\"l", "2,\"l"))
            }
            _ => workspace.write("scores/m/loss/result.json", loss),
        }
        let begun = Instant::now();
        while watching.get("/news.json") == news {
            assert!(begun.elapsed() < Duration::from_secs(30), "{folder} has no news");
            std::thread::sleep(Duration::from_millis(200));
        }
        let part = if folder == "alone" { "stands at step 2" } else { "2.500" };
        assert!(watching.get("/parts.html").contains(part), "{folder}");
    }
    let watching = Watching::begin(&workspace, "sweep");
    assert!(watching.get("/").contains("sweep.toml"), "the page of a sweep names what is lost");
}

#[test]
fn what_is_no_run_and_a_port_that_is_taken_are_refused() {
    let workspace = Workspace::new();
    workspace.babyllama("watch text").refused(1).names(&["text holds no results"]);
    workspace.write("runs/small/recipe.toml", "");
    std::fs::create_dir(workspace.path("runs/small/stages")).unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let refusal = workspace.babyllama(&format!("watch runs/small --port {port}")).refused(1);
    refusal.names(&["cannot listen on port"]).advises("--port");
}
