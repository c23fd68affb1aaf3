//! A headless Chromium, driven by the DevTools protocol over pipes.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Time that an answer or an event may take on a machine with other work.
const PATIENCE: Duration = Duration::from_secs(120);

/// A page in a browser of its own.
pub struct Chromium {
    process: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    session: Option<String>,
    last: u64,
    /// Addresses that were asked for, the page's own among them.
    pub requests: Vec<String>,
    /// Errors and warnings of the page.
    pub problems: Vec<String>,
    _profile: TempDir,
}

impl Chromium {
    /// Starts the browser, if there is one.
    pub fn start() -> Option<Self> {
        let found = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| {
            let paths = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&paths).any(|folder| folder.join(name).is_file())
        })?;
        let profile = tempfile::tempdir().unwrap();
        let flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
            --disable-background-networking --disable-component-update --disable-sync \
            --disable-dev-shm-usage --remote-debugging-pipe";
        // The browser reads commands from descriptor 3 and writes answers to 4.
        let command = format!(
            "exec {found} {flags} --user-data-dir='{}' about:blank 3<&0 4>&1 >/dev/null 2>&1",
            profile.path().display()
        );
        let mut process = Command::new("sh")
            .args(["-c", &command])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut message = Vec::new();
            while output.read_until(0, &mut message).is_ok_and(|bytes| bytes > 0) {
                message.pop();
                let parsed = serde_json::from_slice(&message).unwrap();
                if sender.send(parsed).is_err() {
                    break;
                }
                message.clear();
            }
        });
        let mut browser = Self {
            process,
            input,
            messages,
            session: None,
            last: 0,
            requests: Vec::new(),
            problems: Vec::new(),
            _profile: profile,
        };
        let page = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let target = json!({ "targetId": page["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", target);
        browser.session = Some(session["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Calls a method and waits for its result.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.input.write_all(format!("{message}\0").as_bytes()).unwrap();
        let id = self.last;
        let mut answer = self.wait(|message| message["id"] == id);
        assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
        answer["result"].take()
    }

    /// Waits for a message, and notes what passes by meanwhile.
    fn wait(&mut self, is_wanted: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let message = self.messages.recv_timeout(left).expect("an answer of the browser");
            let (method, parameters) = (message["method"].as_str(), &message["params"]);
            match method {
                Some("Network.requestWillBeSent") => {
                    let address = parameters["request"]["url"].as_str().unwrap();
                    self.requests.push(address.to_owned());
                }
                Some("Runtime.exceptionThrown") => self.problems.push(parameters.to_string()),
                Some("Runtime.consoleAPICalled")
                    if ["error", "warning", "assert"]
                        .iter()
                        .any(|kind| parameters["type"] == *kind) =>
                {
                    self.problems.push(parameters.to_string());
                }
                Some("Log.entryAdded")
                    if ["error", "warning"]
                        .iter()
                        .any(|kind| parameters["entry"]["level"] == *kind) =>
                {
                    self.problems.push(parameters.to_string());
                }
                _ => {}
            }
            if is_wanted(&message) {
                return message;
            }
        }
    }

    /// Opens a file and waits until it is loaded.
    pub fn open(&mut self, path: &Path) {
        self.open_address(&format!("file://{}", path.display()));
    }

    /// Opens an address and waits until its page is loaded.
    pub fn open_address(&mut self, address: &str) {
        self.call("Page.navigate", json!({ "url": address }));
        self.until("document.readyState === 'complete' && location.protocol !== 'about:'");
    }

    /// What an expression is in the page.
    pub fn value(&mut self, expression: &str) -> Value {
        let asked =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut found = self.call("Runtime.evaluate", asked);
        assert!(found["exceptionDetails"].is_null(), "{expression}: {found}");
        found["result"]["value"].take()
    }

    /// Waits until an expression holds.
    pub fn until(&mut self, expression: &str) {
        let end = Instant::now() + PATIENCE;
        while self.value(&format!("Boolean({expression})")) != true {
            assert!(Instant::now() < end, "it does not come to hold: {expression}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A place within an element, by shares of its width and height, once it is in view.
    pub fn place(&mut self, element: &str, across: f64, down: f64) -> (f64, f64) {
        let found = self.value(&format!(
            "(() => {{ const e = {element}; e.scrollIntoView({{ block: 'center' }}); \
             const box = e.getBoundingClientRect(); \
             return [box.left, box.top, box.width, box.height]; }})()"
        ));
        let number = |index: usize| found[index].as_f64().unwrap();
        (number(0) + across * number(2), number(1) + down * number(3))
    }

    /// An event of the mouse.
    pub fn mouse(&mut self, kind: &str, (x, y): (f64, f64)) {
        let is_move = kind == "mouseMoved";
        self.call(
            "Input.dispatchMouseEvent",
            json!({
                "type": kind, "x": x, "y": y, "clickCount": 1,
                "button": if is_move { "none" } else { "left" },
            }),
        );
    }

    /// Clicks at the middle of an element.
    pub fn click(&mut self, element: &str) {
        let place = self.place(element, 0.5, 0.5);
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            self.mouse(kind, place);
        }
    }

    /// An event of one finger on a screen; without a place it is lifted.
    pub fn touch(&mut self, kind: &str, place: Option<(f64, f64)>) {
        let points: Vec<Value> =
            place.iter().map(|(x, y)| json!({ "x": x, "y": y, "id": 1 })).collect();
        self.call("Input.dispatchTouchEvent", json!({ "type": kind, "touchPoints": points }));
    }

    /// A finger that goes from a place to another in a few steps, and is lifted.
    pub fn swipe(&mut self, from: (f64, f64), to: (f64, f64)) {
        self.touch("touchStart", Some(from));
        for part in 1..=8 {
            let share = f64::from(part) / 8.0;
            let place = (from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1));
            self.touch("touchMove", Some(place));
        }
        self.touch("touchEnd", None);
    }

    /// The processor's time that the page's main thread has spent since the page began to load, in
    /// seconds: with other work on the machine the clock's time is another at each measurement.
    pub fn seconds_of_work(&mut self) -> f64 {
        self.call("Performance.enable", json!({ "timeDomain": "threadTicks" }));
        let found = self.call("Performance.getMetrics", json!({}));
        let mut metrics = found["metrics"].as_array().unwrap().iter();
        let work = metrics.find(|metric| metric["name"] == "ThreadTime").unwrap();
        work["value"].as_f64().unwrap()
    }

    /// A width of the window in pixels, and a light or a dark page.
    pub fn dress(&mut self, width: u32, scheme: &str) {
        self.call(
            "Emulation.setDeviceMetricsOverride",
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600 }),
        );
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.call("Emulation.setEmulatedMedia", json!({ "features": [feature] }));
    }

    /// A picture of the whole page, in base 64.
    pub fn picture(&mut self) -> String {
        let whole = json!({ "format": "png", "captureBeyondViewport": true });
        self.call("Page.captureScreenshot", whole)["data"].as_str().unwrap().to_owned()
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
