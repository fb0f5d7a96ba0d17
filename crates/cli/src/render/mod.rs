//! Drawing a ride: small plots for the terminal, and a picture as SVG.

pub(crate) mod plot;
pub(crate) mod route;
pub(crate) mod scale;
pub(crate) mod series;
pub(crate) mod svg;
pub(crate) mod units;
