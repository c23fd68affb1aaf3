//! TensorBoard event files: what `tensorboard --logdir runs` draws.
//!
//! A file is a row of records: the length of an event (8 bytes, little endian), its checksum (4
//! bytes), the event, its checksum (TensorFlow, `core/lib/io/record_writer.h`). A checksum is a
//! masked CRC-32C. An event is a protocol buffer: `Event`, `Summary` and `SessionLog` of
//! `tensorboard/compat/proto/{event,summary}.proto`.
//!
//! Files are only ever appended to, since TensorBoard may be reading them. So a training that goes
//! on after a checkpoint begins a new file, whose `SessionLog` of status `START` makes readers drop
//! the events of the steps that are trained again.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::ReportError;

/// How the names of event files begin. Readers take files with `tfevents` in their names, by name;
/// ten digits follow, the seconds since 1970 at which a file was begun, or more.
pub const PREFIX: &str = "events.out.tfevents.";

/// How the names of event files end that are written here.
const SUFFIX: &str = ".babyllama";

/// The version of the format: readers that find it look for `SessionLog`.
const VERSION: &str = "brain.Event:2";

/// An open event file.
#[derive(Debug)]
pub struct EventLog {
    path: PathBuf,
    file: File,
}

impl EventLog {
    /// Begins a new file in a folder, after the name of any that is there. Readers drop what
    /// earlier files have of `first_step` and later ones.
    ///
    /// # Errors
    /// When the folder cannot be read or the file not be made or written.
    pub fn begin(folder: &Path, first_step: u64, now: SystemTime) -> Result<Self, ReportError> {
        let failed = |source| failed("create an event file in", folder, source);
        let last = last_number(folder).map_err(failed)?;
        let mut number = seconds(now) as u64;
        number = last.map_or(number, |last| number.max(last + 1));
        let path = folder.join(format!("{PREFIX}{number:010}{SUFFIX}"));
        let file = OpenOptions::new().append(true).create_new(true).open(&path).map_err(failed)?;
        let mut log = Self { path, file };
        let mut records = record(&version(now));
        records.extend(record(&session_start(first_step, now)));
        log.write(&records)?;
        Ok(log)
    }

    /// Writes numbers of a step under their tags, at once. Numbers are stored in single precision.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn append(
        &mut self,
        step: u64,
        scalars: &[(&str, f64)],
        now: SystemTime,
    ) -> Result<(), ReportError> {
        self.write(&record(&summary(step, scalars, now)))
    }

    /// Syncs everything written so far to disk.
    ///
    /// # Errors
    /// When the file cannot be synced.
    pub fn sync(&self) -> Result<(), ReportError> {
        self.file.sync_all().map_err(|source| failed("write", &self.path, source))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ReportError> {
        self.file.write_all(bytes).map_err(|source| failed("write", &self.path, source))
    }
}

/// The largest number in the names of a folder's event files, those of other programs included.
fn last_number(folder: &Path) -> std::io::Result<Option<u64>> {
    let mut last = None;
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.get(..10));
        let is_number = |digits: &&str| digits.bytes().all(|byte| byte.is_ascii_digit());
        last = last.max(digits.filter(is_number).and_then(|digits| digits.parse().ok()));
    }
    Ok(last)
}

/// Seconds since 1970.
fn seconds(now: SystemTime) -> f64 {
    now.duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// An event in its frame.
fn record(event: &[u8]) -> Vec<u8> {
    let length = (event.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(event.len() + 16);
    record.extend(length);
    record.extend(masked(crc32c(&length)).to_le_bytes());
    record.extend(event);
    record.extend(masked(crc32c(event)).to_le_bytes());
    record
}

/// The keys of a protocol buffer's fields: the number of the field times 8, plus how its value is
/// stored (0 as a varint, 1 in 8 bytes, 2 after its length, 5 in 4 bytes).
mod key {
    pub(super) const WALL_TIME: u8 = 8 + 1;
    pub(super) const STEP: u8 = 2 * 8;
    pub(super) const FILE_VERSION: u8 = 3 * 8 + 2;
    pub(super) const SUMMARY: u8 = 5 * 8 + 2;
    pub(super) const SESSION_LOG: u8 = 7 * 8 + 2;
    pub(super) const SUMMARY_VALUE: u8 = 8 + 2;
    pub(super) const VALUE_TAG: u8 = 8 + 2;
    pub(super) const VALUE_SIMPLE: u8 = 2 * 8 + 5;
    pub(super) const SESSION_STATUS: u8 = 8;
}

fn version(now: SystemTime) -> Vec<u8> {
    let mut event = event(0, now);
    put_bytes(&mut event, key::FILE_VERSION, VERSION.as_bytes());
    event
}

fn session_start(first_step: u64, now: SystemTime) -> Vec<u8> {
    const START: u8 = 1;
    let mut event = event(first_step, now);
    put_bytes(&mut event, key::SESSION_LOG, &[key::SESSION_STATUS, START]);
    event
}

fn summary(step: u64, scalars: &[(&str, f64)], now: SystemTime) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, number) in scalars {
        let mut value = Vec::new();
        put_bytes(&mut value, key::VALUE_TAG, tag.as_bytes());
        value.push(key::VALUE_SIMPLE);
        value.extend((*number as f32).to_le_bytes());
        put_bytes(&mut summary, key::SUMMARY_VALUE, &value);
    }
    let mut event = event(step, now);
    put_bytes(&mut event, key::SUMMARY, &summary);
    event
}

/// What every event has: its time and its step, which is left out where it is 0.
fn event(step: u64, now: SystemTime) -> Vec<u8> {
    let mut event = vec![key::WALL_TIME];
    event.extend(seconds(now).to_le_bytes());
    if step > 0 {
        event.push(key::STEP);
        put_varint(&mut event, step);
    }
    event
}

fn put_bytes(message: &mut Vec<u8>, key: u8, bytes: &[u8]) {
    message.push(key);
    put_varint(message, bytes.len() as u64);
    message.extend(bytes);
}

/// Seven bits a byte, the lowest first; the eighth bit means that more follow.
fn put_varint(message: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        message.push(number as u8 | 0x80);
        number >>= 7;
    }
    message.push(number as u8);
}

/// A checksum as it is stored, so that the checksum of bytes that hold checksums stays a good one.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Castagnoli's CRC, whose polynomial is 0x1EDC6F41 (RFC 3720, appendix B.4), bit-reversed.
fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut crc = byte as u32;
            let mut bit = 0;
            while bit < 8 {
                crc = (crc >> 1) ^ (0x82f6_3b78 * (crc & 1));
                bit += 1;
            }
            table[byte] = crc;
            byte += 1;
        }
        table
    };
    let step = |crc: u32, &byte: &u8| (crc >> 8) ^ TABLE[usize::from(crc as u8 ^ byte)];
    !bytes.iter().fold(!0, step)
}

fn failed(action: &'static str, path: &Path, source: std::io::Error) -> ReportError {
    ReportError::File { action, path: path.to_path_buf(), source }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: f64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs_f64(seconds)
    }

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// RFC 3720, appendix B.4, and the mask of CRC 0 and 1 by hand.
    #[test]
    fn checksums_are_those_of_the_standard() {
        let ascending: Vec<u8> = (0..32).collect();
        let cases: [(&[u8], u32); 4] = [
            (&[0; 32], 0x8a91_36aa),
            (&[0xff; 32], 0x62a8_ab43),
            (&ascending, 0x46dd_794e),
            (b"123456789", 0xe306_9283),
        ];
        for (bytes, expected) in cases {
            assert_eq!(crc32c(bytes), expected, "{bytes:?}");
        }
        assert_eq!([masked(0), masked(1)], [0xa282_ead8, 0xa284_ead8]);
    }

    /// Written by TensorBoard 2.21's `RecordWriter` and its own protocol buffers.
    #[test]
    fn bytes_are_those_of_tensorboards_own_writer() {
        const EXPECTED: &str = "\
            1800000000000000a37f4b2209000050e5b7c2da411a0d627261696e2e4576656e743a32e80a\
            d0ef0f000000000000006d532b0909000050e5b7c2da4110293a02080150f411263d00000000\
            0000006049f1ec09000080e5b7c2da4110ac022a2f0a110a0a747261696e2f6c6f7373150000\
            60400a1a0a13747261696e2f6c6561726e696e675f72617465156f12833a43648c6a";
        let folder = tempfile::tempdir().unwrap();
        let mut log = EventLog::begin(folder.path(), 41, at(1_795_874_709.25)).unwrap();
        let scalars = [("train/loss", 3.5), ("train/learning_rate", 1e-3)];
        log.append(300, &scalars, at(1_795_874_710.0)).unwrap();
        log.sync().unwrap();
        assert_eq!(names(folder.path()), ["events.out.tfevents.1795874709.babyllama"]);
        let bytes = fs::read(folder.path().join(&names(folder.path())[0])).unwrap();
        let found: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, EXPECTED);
    }

    #[test]
    fn each_file_comes_after_those_that_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let others = ["events.out.tfevents.notanumber", "events.out.tfevents.17", "metrics.jsonl"];
        for name in others {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let begin = |seconds| {
            EventLog::begin(folder.path(), 0, at(seconds))
                .unwrap()
                .path
                .file_name()
                .map(|name| name.to_str().unwrap().strip_prefix(PREFIX).unwrap().to_owned())
        };
        let found = [100.0, 100.5, 200.0, 50.0].map(|seconds| begin(seconds).unwrap());
        let expected = ["0000000100", "0000000101", "0000000200", "0000000201"]
            .map(|digits| format!("{digits}{SUFFIX}"));
        assert_eq!(found, expected);
        // A file of another writer counts too.
        fs::write(folder.path().join("events.out.tfevents.1795874709.host.1.0"), "").unwrap();
        assert_eq!(begin(60.0).unwrap(), format!("1795874710{SUFFIX}"));
    }

    #[test]
    fn what_cannot_be_written_names_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let absent = folder.path().join("absent");
        let problem = EventLog::begin(&absent, 0, at(0.0)).unwrap_err().to_string();
        assert!(problem.starts_with("cannot create an event file in "), "{problem}");
    }
}
