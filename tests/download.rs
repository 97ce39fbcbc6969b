//! Node images of releases over HTTP, from a server that has bad days: what is downloaded is whole and right, or not there.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should end there")]

#[path = "support/release_server.rs"]
mod release_server;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use release_server::{Fault, Offer, Server, digest};
use sandbar::artifact::{ArtifactError, Cache, Cached, Fetch, Network, NodeKind, Patience, Pin, Release};
use sandbar::env::ProxyVariables;
use sandbar::platform::native;
use sandbar::store::{Dirs, FileLock};
use sandbar::ui::reporter::{Event, Reporter};

const NAME: &str = "sandbar-node-1.0.0-amd64.tar.zst";

/// What was told, in words.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Reporter for Told {
    fn report(&self, event: &Event) {
        let words = match event {
            Event::Note { text } => format!("note: {text}"),
            Event::Warning { text } => format!("warning: {text}"),
            Event::Waiting { text } => format!("waiting for {text}"),
            Event::Bytes { done, total, .. } => format!("{done} of {total:?}"),
            Event::PhaseStarted { text, .. } => text.clone(),
            _ => return,
        };
        self.0.lock().unwrap().push(words);
    }
}

/// One user's machine.
struct Laptop {
    home: tempfile::TempDir,
    told: Told,
    network: Network,
}

impl Laptop {
    fn new() -> Self {
        // A stall is told in a fraction of a second; everything else waits as a user's does, but for the pauses.
        let patience = Patience { stall: Duration::from_millis(300), pause: Duration::from_millis(1) };
        let network = Network { patience, ..Network::default() };
        Self { home: tempfile::tempdir().unwrap(), told: Told::default(), network }
    }

    fn cache(&self) -> Cache {
        Cache::of(&Dirs::below(self.home.path()))
    }

    fn fetch(&self) -> Fetch<'_> {
        Fetch {
            cache: self.cache(),
            network: self.network.clone(),
            platform: native(),
            reporter: &self.told,
            command: "up",
        }
    }

    async fn get(&self, base: &str) -> Result<PathBuf, ArtifactError> {
        self.fetch().node_image(&release(base), "amd64").await
    }

    /// What is in the cache's folder, and which locks there are.
    fn files(&self) -> Vec<String> {
        let names = |folder: PathBuf| std::fs::read_dir(folder).into_iter().flatten();
        let all = names(self.cache().folder().to_owned()).chain(names(Dirs::below(self.home.path()).locks()));
        let mut all: Vec<_> = all.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        all.sort();
        all
    }

    fn said(&self, words: &str) -> bool {
        self.told.0.lock().unwrap().iter().any(|told| told.contains(words))
    }
}

fn release(base: &str) -> Release {
    Release { base: base.parse().unwrap(), version: "1.0.0".to_owned(), pins: Vec::new(), kind: NodeKind::Container }
}

/// Something that is not the same anywhere.
fn content() -> Vec<u8> {
    (0..250_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn offered(offer: Offer) -> Server {
    let server = Server::start();
    server.release("1.0.0", NAME, offer);
    server
}

const WHOLE: [&str; 2] = [NAME, "sandbar-node-1.0.0-amd64.tar.zst.sha256"];

#[tokio::test]
async fn what_is_whole_has_its_name_and_is_not_downloaded_again() {
    let (server, laptop) = (offered(Offer::new(content())), Laptop::new());
    let path = laptop.get(&server.url()).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), content());
    assert_eq!(laptop.files(), WHOLE);
    assert!(laptop.said(&format!("note: downloading {}/v1.0.0/{NAME}", server.url())));
    assert!(laptop.said("1000000 of Some(1000000)"));
    assert_eq!(laptop.get(&server.url()).await.unwrap(), path);
    assert_eq!((server.requests("SHA256SUMS").len(), server.requests(NAME).len()), (1, 1));
    let cached = laptop.fetch().cached(&release(&server.url()), "amd64").await.unwrap();
    assert_eq!(cached, Cached::Whole { path });
}

#[tokio::test]
async fn what_the_program_knows_needs_no_list() {
    let (server, laptop) = (offered(Offer::new(content())), Laptop::new());
    let pin = |archive: String| Release {
        pins: vec![("amd64".to_owned(), Pin { archive: archive.parse().unwrap(), image: "sha256:1".to_owned() })],
        ..release(&server.url())
    };
    let error = laptop.fetch().node_image(&pin("0".repeat(64)), "amd64").await.unwrap_err();
    assert!(matches!(error, ArtifactError::WrongDigest { .. }), "{error}");
    laptop.fetch().node_image(&pin(digest(&content())), "amd64").await.unwrap();
    assert_eq!((server.requests("SHA256SUMS").len(), laptop.files()), (0, WHOLE.map(str::to_owned).to_vec()));
}

#[tokio::test]
async fn a_cut_is_gone_on_from() {
    let offer = Offer::new(content()).with([Fault::Cut(400_000), Fault::Cut(0), Fault::Cut(300_000)]);
    let (server, laptop) = (offered(offer), Laptop::new());
    let path = laptop.get(&server.url()).await.unwrap();
    assert_eq!(std::fs::read(path).unwrap(), content());
    let asked: Vec<_> = server
        .requests(NAME)
        .iter()
        .map(|r| (r.header("range").map(str::to_owned), r.header("if-range").map(str::to_owned)))
        .collect();
    let part = |start: &str| (Some(format!("bytes={start}-")), Some("\"1\"".to_owned()));
    assert_eq!(asked, [(None, None), part("400000"), part("400000"), part("700000")]);
    assert!(laptop.said("the download broke off after 390 KiB"), "{:?}", laptop.told.0);
}

#[tokio::test]
async fn what_was_given_up_is_gone_on_from_by_the_next() {
    let (server, laptop) = (offered(Offer::new(content()).with([Fault::Stall(600_000)])), Laptop::new());
    let patient = Laptop { network: Network::default(), ..laptop };
    let url = server.url();
    let part = patient.cache().folder().join(format!("{NAME}.part"));
    let came = async {
        while std::fs::metadata(&part).map_or(0, |metadata| metadata.len()) < 600_000 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // As Ctrl-C does: dropped in the middle.
    tokio::select! {
        result = patient.get(&url) => panic!("it stalls: {result:?}"),
        () = came => {}
    }
    assert_eq!(patient.files(), [format!("{NAME}.part"), format!("{NAME}.part.json")], "no lock is left");
    let path = patient.get(&url).await.unwrap();
    assert_eq!(std::fs::read(path).unwrap(), content());
    assert_eq!(server.requests(NAME)[1].header("range"), Some("bytes=600000-"));
    assert_eq!(patient.files(), WHOLE);
}

/// A laptop that has the first part of `content()`, tagged `"1"`.
async fn with_a_part(server: &Server) -> Laptop {
    let laptop = Laptop::new();
    server.release(
        "1.0.0",
        NAME,
        Offer::new(content()).with([&[Fault::Cut(400_000)][..], &[Fault::Cut(0); 9]].concat()),
    );
    let error = laptop.get(&server.url()).await.unwrap_err();
    assert!(matches!(error, ArtifactError::BrokeOff { done: 400_000, .. }), "{error}");
    assert_eq!(laptop.files(), [format!("{NAME}.part"), format!("{NAME}.part.json")]);
    laptop
}

#[tokio::test]
async fn a_server_that_breaks_off_each_time_is_given_up_and_the_part_stays() {
    let server = Server::start();
    let laptop = with_a_part(&server).await;
    assert_eq!(server.requests(NAME).len(), 6, "one that brought something, and five in a row that did not");
    server.release("1.0.0", NAME, Offer::new(content()));
    laptop.get(&server.url()).await.unwrap();
    assert_eq!(server.requests(NAME)[6].header("range"), Some("bytes=400000-"));
}

#[tokio::test]
async fn a_file_with_another_tag_is_not_glued_to_what_was_there() {
    // A server that heeds If-Range, and one that does not.
    for careless in [false, true] {
        let server = Server::start();
        let laptop = with_a_part(&server).await;
        let etag = Some("\"2\"".to_owned());
        server.release("1.0.0", NAME, Offer { etag, careless, ..Offer::new(content()) });
        let path = laptop.get(&server.url()).await.unwrap();
        assert_eq!(std::fs::read(path).unwrap(), content());
        assert_eq!(server.requests(NAME).last().unwrap().header("range").is_none(), careless);
    }
}

#[tokio::test]
async fn another_release_does_not_go_on_from_the_part_of_this_one() {
    let server = Server::start();
    let laptop = with_a_part(&server).await;
    let mut other = content();
    other[..1000].fill(7);
    server.release("1.0.0", NAME, Offer::new(other.clone()));
    let path = laptop.get(&server.url()).await.unwrap();
    assert_eq!(std::fs::read(path).unwrap(), other);
    assert_eq!(server.requests(NAME).last().unwrap().header("range"), None);
}

#[tokio::test]
async fn a_file_that_changed_without_a_word_is_downloaded_again_as_a_whole() {
    let server = Server::start();
    let laptop = Laptop::new();
    let mut before = content();
    before[..1000].fill(7);
    // The list has the new file already; the first part comes of the old one, and no tag tells them apart.
    let untagged = |content| Offer { etag: None, ..Offer::new(content) };
    server.release("1.0.0", NAME, untagged(content()));
    server.offer(
        &format!("/v1.0.0/{NAME}"),
        untagged(before).with([&[Fault::Cut(400_000)][..], &[Fault::Cut(0); 9]].concat()),
    );
    laptop.get(&server.url()).await.unwrap_err();
    server.offer(&format!("/v1.0.0/{NAME}"), untagged(content()));
    let path = laptop.get(&server.url()).await.unwrap();
    assert_eq!(std::fs::read(path).unwrap(), content());
    assert!(laptop.said("what was downloaded before does not fit"), "{:?}", laptop.told.0);
    let asked: Vec<_> =
        server.requests(NAME).iter().rev().take(2).map(|r| r.header("range").map(str::to_owned)).collect();
    assert_eq!(asked, [None, Some("bytes=400000-".to_owned())]);
}

#[tokio::test]
async fn a_server_without_parts_sends_all_of_it_again() {
    let offer = Offer { ranges: false, ..Offer::new(content()).with([Fault::Cut(400_000)]) };
    let (server, laptop) = (offered(offer), Laptop::new());
    let path = laptop.get(&server.url()).await.unwrap();
    assert_eq!(std::fs::read(path).unwrap(), content());
    assert!(laptop.said("downloading all of it again"));
}

#[tokio::test]
async fn a_part_that_is_all_of_it_is_taken_as_it_is() {
    let server = Server::start();
    let laptop = with_a_part(&server).await;
    let part = laptop.cache().folder().join(format!("{NAME}.part"));
    std::fs::write(&part, content()).unwrap();
    server.release("1.0.0", NAME, Offer::new(content()));
    let path = laptop.get(&server.url()).await.unwrap();
    assert_eq!(std::fs::read(path).unwrap(), content());
    assert_eq!(server.requests(NAME).last().unwrap().header("range"), Some("bytes=1000000-"));
}

#[tokio::test]
async fn a_wrong_digest_keeps_nothing() {
    let (server, laptop) = (offered(Offer::new(content())), Laptop::new());
    server.offer("/v1.0.0/SHA256SUMS", Offer::new(format!("{}  {NAME}\n", "0".repeat(64))));
    let error = laptop.get(&server.url()).await.unwrap_err();
    let (zeros, found) = ("0".repeat(64), digest(&content()));
    assert_eq!(
        error.to_string(),
        format!("{}/v1.0.0/{NAME} is not what it should be: its SHA-256 digest is {found}, not {zeros}", server.url())
    );
    assert_eq!((server.requests(NAME).len(), laptop.files()), (1, Vec::new()));
}

#[tokio::test]
async fn what_is_not_there_is_said_at_once() {
    let (server, laptop) = (Server::start(), Laptop::new());
    let url = server.url();
    let error = laptop.get(&url).await.unwrap_err().to_string();
    assert_eq!(error, format!("there is no {url}/v1.0.0/SHA256SUMS (HTTP status 404)"));
    server.offer("/v1.0.0/SHA256SUMS", Offer::new("<html>sign in</html>"));
    let error = laptop.get(&url).await.unwrap_err().to_string();
    assert_eq!(error, format!("{url}/v1.0.0/SHA256SUMS does not list {NAME}"));
    server.offer("/v1.0.0/SHA256SUMS", Offer::new(format!("{}  {NAME}\n", "0".repeat(64))));
    let error = laptop.get(&url).await.unwrap_err().to_string();
    assert_eq!(error, format!("there is no {url}/v1.0.0/{NAME} (HTTP status 404)"));
    assert_eq!((server.requests("SHA256SUMS").len(), server.requests(NAME).len()), (3, 1));
}

#[tokio::test]
async fn a_server_in_trouble_is_asked_again_and_one_that_refuses_is_not() {
    let (server, laptop) =
        (offered(Offer::new(content()).with([Fault::Status(503), Fault::Status(429)])), Laptop::new());
    laptop.get(&server.url()).await.unwrap();
    assert_eq!(server.requests(NAME).len(), 3);

    let (server, laptop) = (offered(Offer::new(content()).with([Fault::Status(403)])), Laptop::new());
    let error = laptop.get(&server.url()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("{}/v1.0.0/{NAME} is refused: HTTP status 403", server.url()));
    assert_eq!(server.requests(NAME).len(), 1);
}

#[tokio::test]
async fn a_stall_is_a_cut_however_long_all_of_it_takes() {
    let (server, laptop) =
        (offered(Offer::new(content()).with([Fault::Stall(0), Fault::Stall(500_000)])), Laptop::new());
    let path = laptop.get(&server.url()).await.unwrap();
    assert_eq!(std::fs::read(path).unwrap(), content());
    assert!(laptop.said("(nothing came for 0.3 s); going on"), "{:?}", laptop.told.0);
    assert_eq!(server.requests(NAME)[2].header("range"), Some("bytes=500000-"));
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_said_soon() {
    let laptop = Laptop::new();
    let gone = Server::start().url();
    let started = Instant::now();
    let error = laptop.get(&gone).await.unwrap_err();
    assert!(matches!(error, ArtifactError::Unreachable { .. }), "{error}");
    assert!(error.to_string().starts_with(&format!("{gone}/v1.0.0/SHA256SUMS cannot be reached: ")), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(laptop.files(), [""; 0]);
}

#[tokio::test]
async fn two_at_once_download_once() {
    let (server, laptop) = (offered(Offer::new(content()).with([Fault::Stall(500_000)])), Laptop::new());
    let url = server.url();
    let (one, two) = tokio::join!(laptop.get(&url), laptop.get(&url));
    assert_eq!(one.unwrap(), two.unwrap());
    assert_eq!(server.requests("SHA256SUMS").len(), 1);
    let expected = format!("waiting for `sandbar up` (process {}), which downloads {NAME}", std::process::id());
    assert!(laptop.said(&expected), "{:?}", laptop.told.0);
    assert_eq!(laptop.files(), WHOLE);
}

#[tokio::test]
async fn somebody_who_makes_no_progress_is_not_waited_for_for_ever() {
    let (server, laptop) = (offered(Offer::new(content())), Laptop::new());
    let path = Dirs::below(laptop.home.path()).locks().join(format!("{NAME}.lock"));
    let held = FileLock::take(path, "up edge", Duration::ZERO, &mut |_| {}).await.unwrap();
    let error = laptop.get(&server.url()).await.unwrap_err().to_string();
    let expected = format!("{NAME} is being downloaded by `sandbar up edge` (process {})", std::process::id());
    assert!(error.starts_with(&expected), "{error}");
    held.remove();
    laptop.get(&server.url()).await.unwrap();
}

fn proxies(proxy: &Server, none: Option<&str>) -> ProxyVariables {
    let address = Some(format!("http://me:secret@{}", proxy.address()));
    ProxyVariables { http: address.clone(), https: address, none: none.map(str::to_owned), all: None }
}

#[tokio::test]
async fn a_proxy_is_asked_for_what_is_plain() {
    let (proxy, mut laptop) = (offered(Offer::new(content())), Laptop::new());
    laptop.network.proxies = proxies(&proxy, Some("other.invalid"));
    let base = "http://releases.invalid";
    let path = laptop.get(base).await.unwrap();
    assert_eq!(std::fs::read(path).unwrap(), content());
    let request = &proxy.requests(NAME)[0];
    assert_eq!(request.line, format!("GET {base}/v1.0.0/{NAME}"));
    // `me:secret`, for the proxy alone to see.
    assert_eq!(request.header("proxy-authorization"), Some("Basic bWU6c2VjcmV0"));
    assert!(laptop.said("warning: http://releases.invalid is not encrypted"));

    let mut laptop = Laptop::new();
    laptop.network.proxies = proxies(&proxy, Some("invalid"));
    let error = laptop.get(base).await.unwrap_err();
    assert!(matches!(error, ArtifactError::Unreachable { .. }), "{error}");
    assert_eq!(proxy.requests(NAME).len(), 1, "it was not asked");
}

#[tokio::test]
async fn a_proxy_leads_to_a_server_that_a_given_authority_knows() {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["releases.invalid".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
    let server = Server::start_tls(Arc::new(config));
    server.release("1.0.0", NAME, Offer::new(content()).with([Fault::Cut(400_000)]));
    let proxy = Server::start();
    proxy.tunnel_to(server.address());

    let mut laptop = Laptop::new();
    laptop.network.proxies = proxies(&proxy, None);
    let base = "https://releases.invalid";
    let error = laptop.get(base).await.unwrap_err();
    assert!(matches!(error, ArtifactError::Untrusted { .. }), "{error:?}");
    assert_eq!(proxy.requests("").len(), 1, "trying again makes no difference");

    let authority = laptop.home.path().join("ca.pem");
    std::fs::write(&authority, cert.pem()).unwrap();
    laptop.network.certificates = Some(authority);
    let path = laptop.get(base).await.unwrap();
    assert_eq!(std::fs::read(path).unwrap(), content());
    assert_eq!(proxy.requests("").iter().filter(|r| r.line == "CONNECT releases.invalid:443").count(), 4);
    assert!(!laptop.said("not encrypted"));
}

#[tokio::test]
async fn a_proxy_that_refuses_is_said() {
    let (proxy, mut laptop) = (Server::start(), Laptop::new());
    laptop.network.proxies = proxies(&proxy, None);
    let error = laptop.get("https://releases.invalid").await.unwrap_err().to_string();
    assert!(error.starts_with("https://releases.invalid/v1.0.0/SHA256SUMS cannot be reached: "), "{error}");
    assert!(error.contains("tunnel") && !error.contains("secret"), "{error}");
}
