//! One suite over every engine: the fake, Podman, and Docker where it runs. What all of them must do alike.
//!
//! Each test makes its own nodes under names of its own and removes them. An engine that is not here is not silently
//! passed over: its tests are counted as ignored, and the reason is printed.

#![expect(clippy::print_stderr, reason = "a skip is told to whoever runs the suite")]
#![expect(clippy::disallowed_methods, reason = "the suite looks at engines from outside, and starts one of its own")]

#[path = "../support/dockerd.rs"]
mod dockerd;
mod doctor;
mod fixture;
mod image;
mod machine;
#[path = "../support/machine_set.rs"]
mod machine_set;
mod probe;
#[path = "../support/required.rs"]
mod required;
mod shared;
mod special;

use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};

use fixture::Subject;

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = special::detection_trials();
    trials.extend(doctor::trials());
    match Subject::fake() {
        Ok(fake) => trials.extend(shared::trials("fake", Some(&Arc::new(fake)))),
        Err(error) => panic!("the fake cannot be set up: {error:#}"),
    }
    for engine in ["podman", "docker"] {
        match Subject::real(engine) {
            Ok(subject) => {
                let subject = Arc::new(subject);
                trials.extend(shared::trials(engine, Some(&subject)));
                trials.extend(special::trials(engine, Some(&subject)));
            }
            Err(reason) => {
                eprintln!("skipped: {engine}: {reason:#}");
                trials.extend(required::failure(engine, &format!("{reason:#}")));
                trials.extend(shared::trials(engine, None));
                trials.extend(special::trials(engine, None));
            }
        }
    }
    let machine = match Subject::real("machine") {
        Ok(subject) => Some(Arc::new(subject)),
        Err(reason) => {
            eprintln!("skipped: machine: {reason:#}");
            trials.extend(required::failure("machine", &format!("{reason:#}")));
            None
        }
    };
    trials.extend(shared::trials("machine", machine.as_ref()).into_iter().map(not_of_machines));
    trials.extend(machine::trials(machine.as_ref()));
    libtest_mimic::run(&arguments, trials).exit();
}

/// Passes over what has no meaning for machines, with the reason.
fn not_of_machines(trial: Trial) -> Trial {
    let reason = match trial.name() {
        "machine::leaves_alone_what_is_not_ours" => "where machines are is nothing of anybody else",
        "machine::tells_the_log" => "the log is the real node's; tests/machine.rs reads it",
        "machine::knows_its_images" | "machine::exports_and_imports_images" => {
            "it has sets of machines, no images; src/engine/machine/image_set.rs tests them"
        }
        "machine::copies_both_ways" | "machine::places_files_before_the_start" => {
            "a machine that is off has nobody to copy; tests/machine.rs copies while it runs"
        }
        _ => return trial,
    };
    eprintln!("skipped: {}: {reason}", trial.name());
    trial.with_ignored_flag(true)
}

/// A test of an engine, ignored where the engine is not here.
fn trial(name: String, subject: Option<&Arc<Subject>>, run: fixture::Test) -> Trial {
    let ignored = subject.is_none();
    let subject = subject.cloned();
    Trial::test(name, move || match subject {
        Some(subject) => fixture::run(&subject, run).map_err(|error| format!("{error:#}").into()),
        None => Err("its engine is not here".into()),
    })
    .with_ignored_flag(ignored)
}
