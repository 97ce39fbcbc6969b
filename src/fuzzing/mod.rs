//! What must hold for any bytes that somebody else wrote: each check takes bytes and panics where it does not.
//!
//! The fuzz targets (`fuzz/`, `make fuzz`) call these with inputs of their own making; the tests with the inputs that
//! are kept in `fuzz/corpus`, among them each one that once found a fault. In no released program.
#![expect(clippy::missing_panics_doc, reason = "panicking is what a check is for")]

mod cluster_file;
mod kubeconfig_edit;
mod node_status;

pub use self::cluster_file::cluster_file;
pub use self::kubeconfig_edit::kubeconfig_edit;
pub use self::node_status::node_status;
pub use crate::image::fuzzing::image_archive;

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// Runs a check on each input that is kept for it.
    fn replay(target: &str, check: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        let mut inputs: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|input| input.unwrap().path()).collect();
        inputs.sort();
        assert!(inputs.len() > 3, "{} has no inputs", folder.display());
        for input in inputs {
            let bytes = std::fs::read(&input).unwrap();
            if let Err(panic) = std::panic::catch_unwind(|| check(&bytes)) {
                // Which one it was says nothing else.
                std::panic::resume_unwind(Box::new(format!(
                    "{}: {:?}",
                    input.display(),
                    panic.downcast_ref::<String>()
                )));
            }
        }
    }

    #[test]
    fn cluster_file() {
        replay("cluster_file", super::cluster_file);
    }

    #[test]
    fn kubeconfig_edit() {
        replay("kubeconfig_edit", super::kubeconfig_edit);
    }

    #[test]
    fn image_archive() {
        replay("image_archive", super::image_archive);
    }

    #[test]
    fn node_status() {
        replay("node_status", super::node_status);
    }
}
