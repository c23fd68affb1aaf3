use super::super::manifest::tests::manifest;
use super::*;

const BLOCKS: usize = 10;

fn block(number: usize) -> Vec<u8> {
    (0..24).map(|at| (number * 31 + at + 1) as u8).collect()
}

fn open(folder: &Path) -> Result<Store, CacheError> {
    Store::open(folder, manifest(), Purpose::Use)
}

fn refusal(folder: &Path) -> String {
    open(folder).err().expect("an error").to_string()
}

fn written(folder: &Path, blocks: std::ops::Range<usize>) -> Store {
    let mut store = open(folder).unwrap();
    blocks.for_each(|number| store.write(number, &block(number)).unwrap());
    store
}

fn read(store: &mut Store, number: usize) -> Option<Vec<u8>> {
    store.read(number).unwrap().map(<[u8]>::to_vec)
}

/// Changes a byte of a file.
fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 4;
    // In place: the map of an open store changes too.
    OpenOptions::new().write(true).open(path).unwrap().write_all(&bytes).unwrap();
}

#[test]
fn written_blocks_are_read_by_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    let folder = &folder.path().join("a/b");
    let mut store = written(folder, 0..4);
    assert_eq!(read(&mut store, 3), Some(block(3)));
    assert_eq!((read(&mut store, 4), store.missing()), (None, 6));
    // A process that is killed has done no more than this.
    drop(store);
    let mut store = open(folder).unwrap();
    assert_eq!((store.missing(), store.has(3), store.has(4)), (6, true, false));
    assert!(!folder.join("complete").exists());
    (4..BLOCKS).for_each(|number| store.write(number, &block(number)).unwrap());
    assert!(store.missing() == 0 && folder.join("complete").exists());
    drop(store);
    let mut store = open(folder).unwrap();
    assert!((0..BLOCKS).all(|number| read(&mut store, number) == Some(block(number))));
}

#[test]
fn a_block_whose_checksum_never_came_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let store = written(folder.path(), 0..2);
    // Killed between the two writes.
    write_at(
        &OpenOptions::new().write(true).open(folder.path().join("blocks.bin")).unwrap(),
        48,
        &block(2),
    )
    .unwrap();
    drop(store);
    let mut store = open(folder.path()).unwrap();
    assert_eq!((read(&mut store, 2), store.missing()), (None, 8));
}

#[test]
fn a_kill_while_the_files_are_made_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    drop(written(folder.path(), 0..3));
    fs::remove_file(folder.path().join("manifest.json")).unwrap();
    assert_eq!(open(folder.path()).unwrap().missing(), BLOCKS);
}

#[test]
fn a_damaged_block_is_computed_again_until_the_cache_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    let blocks = folder.path().join("blocks.bin");
    let mut store = written(folder.path(), 0..4);
    flip(&blocks, 25);
    assert_eq!((read(&mut store, 1), store.missing()), (None, 7));
    store.write(1, &block(1)).unwrap();
    assert_eq!(read(&mut store, 1), Some(block(1)));
    (4..BLOCKS).for_each(|number| store.write(number, &block(number)).unwrap());
    flip(&blocks, 7 * 24);
    let message = store.read(7).unwrap_err().to_string();
    assert!(
        message.contains("block 7 of") && message.contains("blocks.bin is damaged"),
        "{message}"
    );
    drop(store);
    let mut store = open(folder.path()).unwrap();
    assert!(read(&mut store, 6).is_some() && store.read(7).is_err());
    // A checksum that is gone is damage too, in a complete cache.
    flip(&blocks, 7 * 24);
    let checksums = folder.path().join("checksums.bin");
    let bytes = fs::read(&checksums).unwrap();
    fs::write(&checksums, [&bytes[..72], &[0; 8]].concat()).unwrap();
    let mut store = open(folder.path()).unwrap();
    assert!(store.missing() == 0 && read(&mut store, 7).is_some() && store.read(9).is_err());
}

#[test]
fn a_block_that_was_damaged_before_the_last_one_came_is_not_declared_complete() {
    let folder = tempfile::tempdir().unwrap();
    drop(written(folder.path(), 0..4));
    let blocks = OpenOptions::new().write(true).open(folder.path().join("blocks.bin")).unwrap();
    write_at(&blocks, 2 * 24, &[0; 24]).unwrap();
    // The next process reads one of what it finds, and never comes to the damaged block.
    let mut store = open(folder.path()).unwrap();
    assert_eq!(read(&mut store, 1), Some(block(1)));
    (4..BLOCKS).for_each(|number| store.write(number, &block(number)).unwrap());
    assert_eq!((store.missing(), store.has(2)), (1, false));
    assert!(!folder.path().join("complete").exists());
    drop(store);
    let mut store = open(folder.path()).unwrap();
    assert_eq!((store.missing(), read(&mut store, 2)), (1, None));
    store.write(2, &block(2)).unwrap();
    assert!(store.missing() == 0 && folder.path().join("complete").exists());
    drop(store);
    let mut store = open(folder.path()).unwrap();
    assert!((0..BLOCKS).all(|number| read(&mut store, number) == Some(block(number))));
}

#[test]
fn repair_finds_what_is_damaged_and_leaves_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    drop(written(folder.path(), 0..BLOCKS));
    flip(&folder.path().join("blocks.bin"), 2 * 24);
    flip(&folder.path().join("checksums.bin"), 5 * 8);
    let mut store = Store::open(folder.path(), manifest(), Purpose::Repair).unwrap();
    let there: Vec<bool> = (0..BLOCKS).map(|number| store.has(number)).collect();
    assert_eq!(there, [true, true, false, true, true, false, true, true, true, true]);
    assert!(!folder.path().join("complete").exists());
    [2, 5].into_iter().for_each(|number| store.write(number, &block(number)).unwrap());
    drop(store);
    let mut store = open(folder.path()).unwrap();
    assert!((0..BLOCKS).all(|number| read(&mut store, number) == Some(block(number))));
    drop(store);
    // Nothing to repair: the cache stays complete.
    assert_eq!(Store::open(folder.path(), manifest(), Purpose::Repair).unwrap().missing(), 0);
    assert!(folder.path().join("complete").exists());
}

#[test]
fn files_that_were_cut_are_refused_when_complete_and_mended_otherwise() {
    for (name, length, lost) in
        [("blocks.bin", 8 * 24 + 5, 2), ("checksums.bin", 8 * 8, 2), ("blocks.bin", 0, BLOCKS)]
    {
        let folder = tempfile::tempdir().unwrap();
        drop(written(folder.path(), 0..BLOCKS));
        let cut = || {
            OpenOptions::new()
                .write(true)
                .open(folder.path().join(name))
                .unwrap()
                .set_len(length as u64)
                .unwrap();
        };
        cut();
        let message = refusal(folder.path());
        assert!(message.contains(&format!("{name} has {length} bytes instead of")), "{message}");
        let mut store = Store::open(folder.path(), manifest(), Purpose::Repair).unwrap();
        assert_eq!(store.missing(), lost, "{name} {length}");
        (0..BLOCKS).for_each(|number| store.write(number, &block(number)).unwrap());
        drop(store);
        fs::remove_file(folder.path().join("complete")).unwrap();
        cut();
        let mut store = open(folder.path()).unwrap();
        let found = (0..BLOCKS).filter(|&number| read(&mut store, number).is_some()).count();
        assert_eq!(found, BLOCKS - lost, "{name} {length}");
    }
}

#[test]
fn a_file_that_is_gone_is_a_file_that_was_cut() {
    let folder = tempfile::tempdir().unwrap();
    drop(written(folder.path(), 0..BLOCKS));
    fs::remove_file(folder.path().join("blocks.bin")).unwrap();
    assert!(refusal(folder.path()).contains("blocks.bin has 0 bytes instead of 240"));
    assert_eq!(Store::open(folder.path(), manifest(), Purpose::Repair).unwrap().missing(), BLOCKS);
}

#[test]
fn the_cache_of_something_else_is_refused_complete_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = written(folder.path(), 0..3);
    let other = Manifest { tokens: "other".into(), ..manifest() };
    let message =
        |purpose| Store::open(folder.path(), other.clone(), purpose).err().unwrap().to_string();
    for purpose in [Purpose::Use, Purpose::Repair] {
        let message = message(purpose);
        assert!(message.contains("`tokens` is \"dd\" there and \"other\" here"), "{message}");
    }
    (3..BLOCKS).for_each(|number| store.write(number, &block(number)).unwrap());
    assert!(message(Purpose::Use).contains("`tokens`"));
}

#[test]
fn a_second_process_reads_along_and_never_writes() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = written(folder.path(), 0..2);
    let mut second = open(folder.path()).unwrap();
    assert_eq!((second.missing(), read(&mut second, 5)), (8, None));
    second.write(5, &block(6)).unwrap();
    assert_eq!((read(&mut first, 5), read(&mut second, 5)), (None, None));
    first.write(5, &block(5)).unwrap();
    assert_eq!((read(&mut second, 5), second.missing()), (Some(block(5)), 7));
    let busy = Store::open(folder.path(), manifest(), Purpose::Repair).err().unwrap().to_string();
    assert!(busy.contains("is being written by another process"), "{busy}");
    // The lock goes with its holder, and with the last block.
    drop(first);
    drop(written(folder.path(), 2..BLOCKS));
    let (one, other) = (open(folder.path()).unwrap(), open(folder.path()).unwrap());
    assert_eq!((one.missing(), other.missing()), (0, 0));
}

#[test]
fn a_process_that_waits_for_one_that_dies_before_the_manifest_writes_instead() {
    let folder = tempfile::tempdir().unwrap();
    let held = lock(folder.path()).unwrap().unwrap();
    let mut store = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| open(folder.path()).unwrap());
        std::thread::sleep(Duration::from_millis(100));
        drop(held);
        waiting.join().unwrap()
    });
    store.write(3, &block(3)).unwrap();
    assert_eq!((read(&mut store, 3), store.missing()), (Some(block(3)), BLOCKS - 1));
}

#[test]
fn files_of_others_are_left_alone() {
    for name in CONTENTS {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join(name);
        fs::write(&place, "precious").unwrap();
        // Once more, since a refusal must not leave behind what makes the next one agree.
        for _ in 0..2 {
            let message = refusal(folder.path());
            assert!(
                message.contains(name) && message.contains("are not a teacher cache"),
                "{message}"
            );
        }
        assert_eq!(fs::read(&place).unwrap(), b"precious");
    }
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(refusal(&file).contains("file"), "{}", refusal(&file));
    assert!(refusal(&file.join("below")).contains("below"), "{}", refusal(&file.join("below")));
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error_before_the_first_block_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let huge = Manifest { blocks: 1 << 40, block_bytes: 1 << 20, ..manifest() };
    let error = Store::open(folder.path(), huge, Purpose::Use).err().unwrap().to_string();
    assert!(error.contains("blocks.bin: "), "{error}");
    assert!(!folder.path().join("blocks.bin").exists());
    let huge = Manifest { blocks: 1 << 57, block_bytes: 0, ..manifest() };
    let error = Store::open(folder.path(), huge, Purpose::Use).err().unwrap().to_string();
    assert!(error.contains("checksums.bin: "), "{error}");
    assert!(CONTENTS.iter().all(|name| !folder.path().join(name).exists()));
    assert_eq!(open(folder.path()).unwrap().missing(), BLOCKS);
}

#[test]
fn a_new_cache_whose_manifest_cannot_be_written_leaves_nothing_and_an_old_one_everything() {
    let folder = tempfile::tempdir().unwrap();
    let in_the_way = folder.path().join("manifest.json.partial");
    fs::create_dir(&in_the_way).unwrap();
    assert!(refusal(folder.path()).contains("manifest.json: "), "{}", refusal(folder.path()));
    assert!(CONTENTS.iter().all(|name| !folder.path().join(name).exists()));
    fs::remove_dir(&in_the_way).unwrap();
    drop(written(folder.path(), 0..4));
    fs::create_dir(&in_the_way).unwrap();
    assert!(refusal(folder.path()).contains("manifest.json: "), "{}", refusal(folder.path()));
    fs::remove_dir(&in_the_way).unwrap();
    assert_eq!(open(folder.path()).unwrap().missing(), BLOCKS - 4);
}
