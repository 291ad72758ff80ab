//! Strategic merge patch: a merge patch that knows the type it is applied to.
/// A decoded strategic merge patch.
pub struct StrategicPatch {}
