//! What the operating system reports about this process. Where there is no `/proc`, nothing.

use std::fs;

/// The most memory that this process has had in use so far, in bytes.
pub fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kilobytes = field(&status, "VmHWM")?.split_whitespace().next()?.parse::<u64>().ok()?;
    Some(1024 * kilobytes)
}

/// How often so far this process touched memory for which the system first had to find a page,
/// without reading a disk.
pub fn page_faults() -> Option<u64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in brackets; minor faults are the tenth.
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(7)?.parse().ok()
}

/// The value of the first line `name: value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "VmHWM low:\t 1 kB\nVmHWM:\t  123 kB\nVmHWM:\t  5 kB\n";
        assert_eq!(field(text, "VmHWM"), Some("123 kB"));
        assert_eq!(field(text, "VmRSS"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn touching_memory_shows() {
        let (memory, faults) = (peak_memory().unwrap(), page_faults().unwrap());
        let size = memory as usize + (32 << 20);
        let touched = std::hint::black_box(vec![1u8; size]);
        assert!(peak_memory().unwrap() >= memory + (24 << 20), "{} bytes touched", touched.len());
        assert!(page_faults().unwrap() > faults);
    }
}
