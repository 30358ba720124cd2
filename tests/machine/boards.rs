//! The other ways to start, and the other board.

use crate::relays::relays_on;
use crate::rig::Site;

#[test]
fn the_pc_image_starts_from_uefi_too() {
    let Some(site) = Site::long("pc") else { return };
    relays_on(&site, &["--uefi"]);
}

#[test]
fn the_aarch64_image_starts_and_relays() {
    let Some(site) = Site::long("virt-arm64") else { return };
    relays_on(&site, &[]);
}
