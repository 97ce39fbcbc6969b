use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::*;

fn obfuscator(learn: &[&str], keep_names: bool) -> Obfuscator {
    let mut learner = Learner::new().unwrap();
    for text in learn {
        learner.text(text.as_bytes());
    }
    learner.known.name(Kind::Host, "my-laptop");
    learner.known.name(Kind::User, "alice");
    learner.obfuscator(vec!["10.42.0.0/16".parse().unwrap(), "10.43.0.0/16".parse().unwrap()], keep_names).unwrap()
}

fn masked(text: &str) -> String {
    String::from_utf8(obfuscator(&[text], false).text(text.as_bytes())).unwrap()
}

#[test]
fn what_is_private_is_masked_in_every_notation() {
    let cases = [
        ("peer 192.168.7.20:6443 and 192.168.7.20/24", "peer ip-1:6443 and ip-1/24"),
        ("from fe80::1ff:fe23:4567:890a%eth0, [2001:db8::7]:443", "from ip-1%eth0, [ip-2]:443"),
        ("at 12:30:45 a:b:192.168.7.20", "at 12:30:45 a:b:ip-1"),
        (r#"{"log":"first\n192.168.7.20 came\tAKIAIOSFODNN7EXAMPLE"}"#, r#"{"log":"first\nip-1 came\tsecret-1"}"#),
        ("\u{1b}[31m192.168.7.20\u{1b}[0m", "ip-1"),
        ("link/ether 02:42:ac:11:00:02", "link/ether mac-1"),
        ("mail to Bob.Smith+x@corp.example now", "mail to email-1 now"),
        ("my-laptop kernel: alice logged in", "host-1 kernel: user-1 logged in"),
        ("/home/alice/src and C:\\\\Users\\\\Bob\\\\x", "/home/user-1/src and C:\\\\Users\\\\user-2\\\\x"),
        ("https://bob:s3cr3t@git.corp.example/x?token=abc", "https://user-1:secret-1@host-1/x?token=secret-2"),
        ("http://proxy:3128 git.corp.example", "http://host-1:3128 git.corp.example"),
        ("Authorization: Bearer abcdef123456", "Authorization: Bearer secret-1"),
        ("Authorization: Basic dXNlcjpwYXNzd29yZA==", "Authorization: Basic secret-1"),
        ("jwt eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlcm5ldGVzIn0.c2lnbmF0dXJl end", "jwt secret-1 end"),
        ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "secret-1"),
        (
            "  - name: DB_PASSWORD\n    value: hunter2\n    other: x",
            "  - name: DB_PASSWORD\n    value: secret-1\n    other: x",
        ),
        ("password: |\n  first line\n  second line\nnext: x", "password: |\n  secret-1\n  secret-2\nnext: x"),
        ("db password=monkey", "db password=secret-1"),
    ];
    for (text, expected) in cases {
        assert_eq!(masked(text), expected, "{text}");
    }
}

#[test]
fn keys_and_certificates_are_masked_on_one_line_and_on_several() {
    let body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC";
    let text = format!("a\n-----BEGIN PRIVATE KEY-----\n{body}\n{body}\nQQ==\n-----END PRIVATE KEY-----\nb");
    let expected = "a\n-----BEGIN PRIVATE KEY-----\nsecret-1\nsecret-1\nsecret-2\n-----END PRIVATE KEY-----\nb";
    assert_eq!(masked(&text), expected);
    let with_times = text.replace('\n', "\n2026-01-01T00:00:00Z stdout F ");
    assert!(
        !masked(&with_times).contains("MII") && masked(&with_times).ends_with("Z stdout F b"),
        "{}",
        masked(&with_times)
    );
    let json = format!(r#"{{"a":"-----BEGIN EC PRIVATE KEY-----\n{body}\n-----END EC PRIVATE KEY-----\n","b":1}}"#);
    assert_eq!(masked(&json), r#"{"a":"-----BEGIN EC PRIVATE KEY-----secret-1-----END EC PRIVATE KEY-----\n","b":1}"#);
    // One that is cut off does not take the rest of the log with it.
    let cut = format!("-----BEGIN PRIVATE KEY-----\n{body}\nthen: all is well\nand so on");
    assert_eq!(masked(&cut), "-----BEGIN PRIVATE KEY-----\nsecret-1\nthen: all is well\nand so on");
}

#[test]
fn what_tells_of_nobody_stays() {
    let texts = [
        "listening on 127.0.0.1:6443, [::1]:6443, 0.0.0.0:80 and :::443",
        "pod 10.42.0.7 of service 10.43.0.10 in 10.42.0.0/16",
        "netmask 255.255.255.0, version 1.2.3.4.5 and v1.2.3.4",
        "http://hello.default.localhost:8080 https://kubernetes.default.svc:443 unix:///run/sandbar/node.sock",
        "image registry.k8s.io/pause@sha256:7031c1b283388d2c2e09b57badb803c05ebed362dc88d84b480cc47f72a21097",
        "unix://%2fvar%2frun%2fcrio.sock http://2.4.2 PWD=/tmp",
        "12:34:56.789 std::vec<a::b> getty@tty1.service",
        "secretName: db\nautomountServiceAccountToken: false\nimagePullSecrets: []",
        "the token was refreshed; basic authentication is off",
        "/var/lib/kubelet/pods/0a1b2c3d-1234-5678-9abc-def012345678/volumes/kubernetes.io~projected/kube-api-access",
    ];
    for text in texts {
        assert_eq!(masked(text), text);
    }
}

#[test]
fn names_stay_where_they_are_wanted_and_secrets_never() {
    let text = "alice@corp.example at 192.168.7.20 https://bob:s3cr3t@git.corp.example password=hunter2";
    let result = String::from_utf8(obfuscator(&[], true).text(text.as_bytes())).unwrap();
    assert_eq!(result, "alice@corp.example at 192.168.7.20 https://bob:secret-1@git.corp.example password=secret-2");
}

#[test]
fn what_is_learned_from_one_text_is_masked_in_another() {
    let first = "password=s3same-0pen https://git.corp.example/x";
    let mut obfuscator = obfuscator(&[first], false);
    let second = format!("login with s3same-0pen ({}) at git.corp.example", STANDARD.encode("s3same-0pen"));
    let second = String::from_utf8(obfuscator.text(second.as_bytes())).unwrap();
    assert_eq!(second, "login with secret-1 (secret-1) at host-1");
    assert_eq!(obfuscator.text(first.as_bytes()), b"password=secret-1 https://host-1/x");
}

/// A text as pods and components print it, with a place for something private.
fn surroundings() -> impl Strategy<Value = (String, String)> {
    prop_oneof![
        Just(("password: ".to_owned(), String::new())),
        Just(("{\"password\":\"".to_owned(), "\",\"a\":1}".to_owned())),
        Just(("level=info token=".to_owned(), " x=1".to_owned())),
        Just(("run --api-key ".to_owned(), " --verbose".to_owned())),
        Just(("2026-01-01T00:00:00Z stderr F clientSecret=\"".to_owned(), "\" done".to_owned())),
        Just(("\\\"privateKey\\\":\\\"".to_owned(), "\\\",".to_owned())),
        Just(("postgres://me:".to_owned(), "@db.corp.example/x".to_owned())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_secret_next_to_its_name_is_nowhere_in_the_result(
        secret in "[A-Za-z][A-Za-z0-9!_.~-]{6,30}[0-9]",
        (before, after) in surroundings(),
        noise in "[ -~]{0,40}",
    ) {
        prop_assume!(!is_token(secret.as_bytes()) && !before.contains(&secret) && !noise.contains(&secret));
        let text = format!("{before}{secret}{after}\nlater {secret} {}\n", STANDARD.encode(&secret));
        let result = masked(&text);
        prop_assert!(!result.contains(&secret), "{result}");
        prop_assert!(!result.contains(&STANDARD.encode(&secret)), "{result}");
        let mut obfuscator = obfuscator(&[&text], false);
        obfuscator.text(noise.as_bytes());
        prop_assert_eq!(obfuscator.text(text.as_bytes()), obfuscator.text(text.as_bytes()));
    }

    #[test]
    fn an_address_is_the_same_token_wherever_it_stands(a in any::<std::net::Ipv4Addr>(), text in "[a-z =(:\"]{0,10}[ =(\"]") {
        let mut obfuscator = obfuscator(&[], false);
        let first = obfuscator.text(format!("{a} x").as_bytes());
        let second = obfuscator.text(format!("{text}{a}, y").as_bytes());
        let token = String::from_utf8(first[..first.len() - 2].to_vec()).unwrap();
        let second = String::from_utf8(second).unwrap();
        prop_assert!(second.contains(&format!("{token},")), "{second}");
        prop_assert!(token == "ip-1" || token == a.to_string(), "{token}");
    }

    #[test]
    fn whatever_bytes_come_lines_stay_lines(text in proptest::collection::vec(any::<u8>(), 0..400)) {
        let lines = |text: &[u8]| text.split(|byte| *byte == b'\n').count();
        let mut obfuscator = obfuscator(&[], false);
        prop_assert_eq!(lines(&obfuscator.text(&text)), lines(&text));
    }
}
