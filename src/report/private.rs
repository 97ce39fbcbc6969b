//! What is private on this machine: its names, its user's, and the credentials that lie about. Read to be masked, and told
//! nowhere.

use super::Subject;
use super::obfuscate::Learner;
use super::tokens::Kind;

/// Teaches what is known before anything is looked at.
pub(super) fn learn(learner: &mut Learner, subject: &Subject<'_>) {
    let name = subject.name.as_str();
    // The cluster's own name is what the report is about, also where the machine or its user has the same.
    let mut add = |kind, text: &str| {
        if text != name && text != "localhost" {
            learner.known.name(kind, text);
        }
    };
    let env = subject.env;
    let variable = |wanted: &str| {
        let found = env.all.iter().find(|(name, _)| name == wanted)?;
        found.1.to_str().map(str::to_owned)
    };
    for host in subject.platform.host_names().into_iter().chain(variable("COMPUTERNAME")) {
        add(Kind::Host, &host);
    }
    for user in ["USER", "LOGNAME", "USERNAME", "SUDO_USER"].into_iter().filter_map(variable) {
        add(Kind::User, &user);
    }
    if let Some(home) = &env.home {
        let path = home.display().to_string();
        // The superuser's is the same everywhere, and so is the root folder.
        if path.len() > 1 && path != "/root" {
            add(Kind::Home, &path);
        }
    }
    let variables: Vec<String> =
        env.all.iter().map(|(name, value)| format!("{}={}", name.display(), value.display())).collect();
    learner.known.variables(variables.iter().map(String::as_str));
    learner.text(variables.join("\n").as_bytes());
    for file in &subject.kubeconfigs {
        // One that is not there or not readable tells nobody anything.
        let Ok(text) = std::fs::read(file) else { continue };
        if let Ok(kubeconfig) = serde_saphyr::from_slice::<serde_json::Value>(&text) {
            learner.known.json(&kubeconfig);
        }
        learner.text(&text);
    }
}
