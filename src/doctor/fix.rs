//! Commands that mend what a check found, shown as they are and applied as they are shown.

use std::ffi::OsString;

use serde::Serialize;

use crate::platform::Platform;
use crate::process::{ProcessError, Program};

/// What mends a finding: commands of the shell, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fix {
    /// The commands as one types them, with `sudo` where they need the superuser.
    pub commands: Vec<String>,
}

/// Why a fix was not applied.
#[derive(Debug, thiserror::Error)]
pub enum FixError {
    /// The shell could not be run.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A command failed.
    #[error("`{command}` ended with exit code {code}")]
    Failed {
        /// The command.
        command: String,
        /// Its exit code.
        code: u8,
    },
}

impl Fix {
    /// Commands of this user's.
    pub(super) fn of_user(commands: impl IntoIterator<Item = String>) -> Self {
        Self { commands: commands.into_iter().collect() }
    }

    /// Commands of the superuser's.
    pub(super) fn of_superuser(commands: &[&str], platform: &dyn Platform) -> Self {
        let sudo = if platform.is_superuser() { "" } else { "sudo " };
        Self { commands: commands.iter().map(|command| command.replace("SUDO ", sudo)).collect() }
    }

    /// Runs the commands on this process' terminal, so that they can ask for a password; what they print goes to stderr.
    pub async fn apply(&self, environment: &[(OsString, OsString)]) -> Result<(), FixError> {
        for command in &self.commands {
            let script = format!("exec >&2\n{command}");
            let shell = Program::new("/bin/sh").args(["-c", &script]);
            let shell = shell.envs(environment.iter().map(|(name, value)| (name, value)));
            match shell.interactive().await? {
                0 => {}
                code => return Err(FixError::Failed { command: command.clone(), code }),
            }
        }
        Ok(())
    }
}
