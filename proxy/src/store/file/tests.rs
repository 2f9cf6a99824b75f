use std::io;
use std::sync::Mutex as Lock;
use std::sync::atomic::{AtomicBool, Ordering};

use doorward_policy::session::What;
use redb::StorageBackend;

use super::*;

/// A disk that can run full, and keeps what it has.
#[derive(Debug, Clone, Default)]
struct Disk {
    bytes: Arc<Lock<Vec<u8>>>,
    is_full: Arc<AtomicBool>,
}

impl Disk {
    fn room(&self) -> io::Result<()> {
        if self.is_full.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.bytes.lock().unwrap().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let start = usize::try_from(offset).unwrap();
        out.copy_from_slice(&self.bytes.lock().unwrap()[start..start + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.room()?;
        self.bytes.lock().unwrap().resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.room()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.room()?;
        let start = usize::try_from(offset).unwrap();
        self.bytes.lock().unwrap()[start..start + data.len()].copy_from_slice(data);
        Ok(())
    }
}

fn far() -> Timestamp {
    clock::now().plus(Duration::from_secs(3600))
}

fn store(folder: &Path) -> FileStore {
    FileStore::open(folder, &Handle::current()).unwrap()
}

#[tokio::test]
async fn a_full_disk_refuses_and_goes_on_when_there_is_room_again() {
    let disk = Disk::default();
    let opener = Opener::new("disk".to_owned(), {
        let disk = disk.clone();
        move |builder| builder.create_with_backend(disk.clone())
    });
    let store = FileStore::start(opener, &Handle::current(), 100, 100, Steady::settled()).unwrap();
    let (before, during, after) = (StoreKey::of("before"), StoreKey::of("during"), StoreKey::of("after"));
    store.create(&before, b"before".to_vec(), far()).await.unwrap();
    disk.is_full.store(true, Ordering::SeqCst);
    assert_eq!(store.create(&during, b"during".to_vec(), far()).await, Err(StoreFault::Full));
    assert!(!store.is_well().await);
    assert!(store.create(&during, b"during".to_vec(), far()).await.is_err());
    disk.is_full.store(false, Ordering::SeqCst);
    store.create(&after, b"after".to_vec(), far()).await.unwrap();
    assert!(store.is_well().await);
    let read = async |key| store.read(key).await.unwrap().map(|stored| stored.sealed);
    assert_eq!(read(&before).await, Some(b"before".to_vec()));
    assert_eq!(read(&during).await, None, "what was refused did not happen");
    assert_eq!(read(&after).await, Some(b"after".to_vec()));
}

#[tokio::test]
async fn what_is_over_makes_room_and_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::with_limits(folder.path(), &Handle::current(), 2, 2).unwrap();
    let soon = clock::now().plus(Duration::from_secs(1));
    store.create(&StoreKey::of("short"), vec![1], soon).await.unwrap();
    store.create(&StoreKey::of("long"), vec![2], far()).await.unwrap();
    let third = StoreKey::of("third");
    if clock::now() < soon {
        assert_eq!(store.create(&third, vec![3], far()).await, Err(StoreFault::Full));
    }
    assert_eq!(store.create(&StoreKey::of("long"), vec![4], far()).await, Ok(()), "what is there needs no more room");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(store.create(&third, vec![3], far()).await, Ok(()));
    assert_eq!(store.create(&StoreKey::of("fourth"), vec![3], far()).await, Err(StoreFault::Full));
}

#[tokio::test]
async fn logout_14_the_list_is_bounded_and_replays_are_one_entry() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::with_limits(folder.path(), &Handle::current(), 2, 2).unwrap();
    let of = |sid: &str| Revocation {
        what: What::ProviderSession { issuer: "https://idp/".into(), sid: sid.into() },
        not_before: Timestamp(0),
        until: far(),
    };
    for _ in 0..20 {
        store.revoke(&of("a")).await.unwrap();
    }
    store.revoke(&of("b")).await.unwrap();
    assert_eq!(store.revoke(&of("c")).await, Err(StoreFault::Full));
    let everybody = Revocation { what: What::Issuer("https://idp/".into()), ..of("") };
    assert_eq!(store.revoke(&everybody).await, Ok(()));
    assert_eq!(store.revocations(Cursor::default()).await.unwrap().0, [everybody], "it says as much as both, and makes room");
    assert_eq!(store.look(tables::counts).await.unwrap(), [0, 0, 1, 1, 1]);
    let other = Revocation { what: What::ProviderSession { issuer: "https://other/".into(), sid: "a".into() }, ..of("") };
    assert_eq!(store.revoke(&other).await, Ok(()));
    assert_eq!(store.revoke(&of("c")).await, Err(StoreFault::Full));
    let everybody = Revocation { what: What::Issuer("https://idp/".into()), until: far().minus(Duration::from_secs(9)), ..of("") };
    assert_eq!(store.revoke(&everybody).await, Ok(()));
    assert!(store.revocations(Cursor::default()).await.unwrap().0.contains(&other), "another issuer's stays");
}

#[tokio::test]
async fn what_is_over_leaves_the_file_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::with_limits(folder.path(), &Handle::current(), 10, 10).unwrap();
    let soon = clock::now().plus(Duration::from_secs(1));
    store.create(&StoreKey::of("short"), vec![1], soon).await.unwrap();
    store.create(&StoreKey::of("long"), vec![2], far()).await.unwrap();
    store.take("name", "holder", Duration::from_millis(500)).await.unwrap();
    let entry = Revocation { what: What::Issuer("https://idp/".into()), not_before: Timestamp(0), until: soon };
    store.revoke(&entry).await.unwrap();
    let counts = async || store.look(tables::counts).await.unwrap();
    for _ in 0..100 {
        if counts().await == [1, 0, 0, 0, 1] {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("still there: {:?}", counts().await);
}

#[tokio::test]
async fn a_clock_that_runs_ahead_takes_sessions_out_of_the_file_and_no_revocation() {
    let folder = tempfile::tempdir().unwrap();
    let first = store(folder.path());
    let soon = clock::now().plus(Duration::from_secs(1));
    let entry = Revocation { what: What::Issuer("https://idp/".into()), not_before: Timestamp(0), until: soon };
    first.revoke(&entry).await.unwrap();
    first.create(&StoreKey::of("short"), vec![1], soon).await.unwrap();
    first.take("name", "holder", Duration::from_millis(500)).await.unwrap();
    let begin = std::time::Instant::now();
    while first.look(tables::counts).await.unwrap() != [0, 0, 1, 1, 1] {
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", first.look(tables::counts).await.unwrap());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Two sweeps more, and a restart.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    drop(first);
    let second = store(folder.path());
    assert_eq!(second.revocations(Cursor::default()).await.unwrap().0, [entry]);
    drop(second);
    // The same file by a clock that is believed.
    let third = FileStore::with_limits(folder.path(), &Handle::current(), 10, 10).unwrap();
    assert_eq!(third.revocations(Cursor::default()).await.unwrap().0, []);
}

#[tokio::test]
async fn two_at_once_are_told_apart_and_the_first_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let first = store(folder.path());
    let second = FileStore::open(folder.path(), &Handle::current()).unwrap_err();
    assert!(second.0.contains("doorward.redb` is in use by another process"), "{second}");
    first.create(&StoreKey::of("one"), vec![1], far()).await.unwrap();
    drop(first);
    let third = store(folder.path());
    assert!(third.read(&StoreKey::of("one")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_damaged_file_is_named_at_the_start_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let first = store(folder.path());
    for at in 0..300 {
        first.create(&StoreKey::of(&at.to_string()), vec![7; 2000], far()).await.unwrap();
    }
    drop(first);
    let good = std::fs::read(&path).unwrap();
    drop(store(folder.path()));
    let with = |at: usize, len: usize| {
        let mut bytes = good.clone();
        bytes[at..at + len].fill(0x5a);
        bytes
    };
    let (begin, middle) = (with(0, 64), with(good.len() / 2, 8192));
    let cut = good[..good.len() / 3].to_vec();
    for (what, bytes) in [("text", b"these are somebody's notes".to_vec()), ("begin", begin), ("middle", middle), ("cut", cut)] {
        std::fs::write(&path, bytes).unwrap();
        let fault = FileStore::open(folder.path(), &Handle::current()).err().unwrap_or_else(|| panic!("{what}: it opened"));
        assert!(fault.0.contains(&path.display().to_string()) && fault.0.contains("move it away"), "{what}: {fault}");
    }
    std::fs::write(&path, &good).unwrap();
    assert!(store(folder.path()).read(&StoreKey::of("299")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = FileStore::open(&folder.path().join("missing"), &Handle::current()).unwrap_err();
    assert!(missing.0.contains("server.state_dir") && missing.0.contains("there is no folder"), "{missing}");
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let no_folder = FileStore::open(&file, &Handle::current()).unwrap_err();
    assert!(no_folder.0.contains("server.state_dir"), "{no_folder}");
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_may_read_the_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let _store = store(folder.path());
    let mode = std::fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_thousand_writes_at_once_share_their_flushes() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let begin = std::time::Instant::now();
    let keys: Vec<_> = (0..1000).map(|at| StoreKey::of(&at.to_string())).collect();
    let done = futures::future::join_all(keys.iter().map(|key| store.create(key, vec![1; 2000], far()))).await;
    assert!(done.iter().all(Result::is_ok));
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}
