//! Lossless edit of the user's kubeconfig.
