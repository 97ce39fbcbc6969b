//! A Docker in a sibling container, as CI jobs have it: `DOCKER_HOST=tcp://docker:2376`, with TLS.

use std::fs;

use crate::{Far, Outcome, text};

const HOST: (&str, &str) = ("DOCKER_HOST", "tcp://docker:2376");
const VERIFY: (&str, &str) = ("DOCKER_TLS_VERIFY", "1");

pub fn is_reached_by_its_name(far: &Far) -> Outcome {
    let certificates = text(&far.path("client"));
    far.laptop(&[HOST, VERIFY, ("DOCKER_CERT_PATH", &certificates)], |laptop| {
        let report = laptop.json(&["up", "ci"])?;
        assert_eq!(report["addresses"]["api"], "https://docker:6443");
        assert_eq!(report["addresses"]["http"], "http://docker");
        assert_eq!(report["engine"]["host"], "docker");
        // The kubeconfig's own server, with a certificate that is for that name.
        assert_eq!(laptop.readyz()?, "ok");
        let kubeconfig = fs::read_to_string(laptop.path("kubeconfig")).map_err(crate::words)?;
        assert!(kubeconfig.contains("server: https://docker:6443\n"), "{kubeconfig}");
        // It is found by what was remembered, whatever the environment says by now.
        laptop.environment.clear();
        let status = laptop.json(&["status", "ci"])?;
        assert_eq!((&status["healthy"], &status["addresses"]), (&true.into(), &report["addresses"]));
        laptop.json(&["restart", "ci"])?;
        assert_eq!(laptop.readyz()?, "ok");
        Ok(())
    })
}

pub fn what_is_wrong_with_tls_is_said(far: &Far) -> Outcome {
    let [client, stranger, gone] = ["client", "stranger", "gone"].map(|name| text(&far.path(name)));
    let ca = text(&far.path("stranger/ca.pem"));
    let cases = [
        (vec![HOST], "what answers there speaks TLS alone".to_owned()),
        (vec![HOST, VERIFY, ("DOCKER_CERT_PATH", &gone)], format!("{gone} is missing")),
        (vec![HOST, VERIFY, ("DOCKER_CERT_PATH", &stranger)], format!("its certificate was not signed by {ca}")),
        (
            vec![HOST, ("DOCKER_TLS", "1"), ("DOCKER_CERT_PATH", &stranger)],
            format!("it does not accept the certificate of {stranger} ("),
        ),
        (
            vec![("DOCKER_HOST", "tcp://198.51.100.1:2376"), VERIFY, ("DOCKER_CERT_PATH", &client)],
            "its certificate is not for 198.51.100.1".to_owned(),
        ),
    ];
    let usual = [HOST, VERIFY, ("DOCKER_CERT_PATH", client.as_str())];
    far.laptop(&usual, |laptop| {
        for (environment, expected) in &cases {
            laptop.environment = environment.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
            let (code, said) = laptop.fails(&["up", "ci"])?;
            assert!(
                code == 3 && said.contains(expected.as_str()) && said.contains("hint: "),
                "{expected}: {code} {said}"
            );
        }
        Ok(())
    })
}
