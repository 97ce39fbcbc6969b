//! `sandbar completions`

use clap_complete::Shell;

use crate::context::Context;
use crate::error::{Failure, FailureKind};

/// Print the completions of a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sandbar completions bash > ~/.local/share/bash-completion/completions/sandbar
  sandbar completions zsh > ~/.zfunc/_sandbar
  sandbar completions fish > ~/.config/fish/completions/sandbar.fish")]
pub(super) struct Args {
    /// The shell [default: that of SHELL]
    shell: Option<Shell>,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let own = || context.env.shell.as_ref().and_then(Shell::from_shell_path);
    let shell = args.shell.or_else(own).ok_or_else(|| {
        Failure::new(FailureKind::Usage, anyhow::anyhow!("which shell? SHELL does not name one that is known"))
            .hint("name it: bash, elvish, fish, powershell or zsh")
    })?;
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut super::definition(), "sandbar", &mut text);
    Ok(context.printer.bytes(&text)?)
}
