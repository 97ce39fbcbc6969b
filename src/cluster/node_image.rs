//! The image that a node is made from: whether it fits, and whether its name means another one by now.

use crate::engine::{EngineError, EngineInfo, ImageInfo, LABEL_CONTRACT, NodeState};
use crate::node::{CONTRACT_VERSION, WarningReport};
use crate::spec::{ClusterSpec, ImageReference};

use super::ClusterError;

/// The image of that name, which has to speak a contract that this program knows.
pub(super) fn fitting(
    engine: &EngineInfo,
    image: &ImageReference,
    info: Option<ImageInfo>,
) -> Result<ImageInfo, ClusterError> {
    let info = info.ok_or_else(|| ClusterError::NoImage { engine: engine.kind.clone(), image: image.clone() })?;
    let unfit = |reason: String| ClusterError::ImageUnfit { image: image.clone(), reason };
    let contract = info.labels.get(LABEL_CONTRACT).ok_or_else(|| unfit(format!("it has no label {LABEL_CONTRACT}")))?;
    let oldest = CONTRACT_VERSION.saturating_sub(1).max(1);
    match contract.parse::<u32>() {
        Ok(version) if (oldest..=CONTRACT_VERSION).contains(&version) => Ok(info),
        _ => Err(unfit(format!("it speaks contract version {contract}, this sandbar speaks {CONTRACT_VERSION}"))),
    }
}

/// The user is told that the name of the node's image means another one by now; that is not changed by itself.
pub(super) fn other(
    spec: &ClusterSpec,
    node: Option<&NodeState>,
    image: Result<Option<ImageInfo>, EngineError>,
) -> Option<WarningReport> {
    match (node, image) {
        (Some(node), Ok(Some(image))) if node.image_id != image.id => Some(WarningReport {
            code: "ImageChanged".to_owned(),
            message: format!("image {} is another one than this node was made from", spec.image),
            hint: format!("`sandbar up {} --recreate` uses it and keeps the data", spec.name),
        }),
        (_, Ok(_)) => None,
        // The node that there is needs it no more.
        (_, Err(error)) => {
            tracing::debug!(%error, "the node's image is not compared");
            None
        }
    }
}
