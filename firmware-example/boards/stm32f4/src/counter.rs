//! A counter in flash, for a chip that has nothing else to tell one start from another.
//!
//! Invariant: no number comes twice, whenever power fails: it is stored before it is returned. It knows any flash, of two
//! sectors at least, and no microcontroller.

use core::ops::Range;

use embassy_embedded_hal::adapter::BlockingAsync;
use embassy_futures::block_on;
use embedded_storage::nor_flash::MultiwriteNorFlash;
use sequential_storage::cache::Cache;
use sequential_storage::map::{MapConfig, MapStorage};

/// The counter is all that is stored there.
const KEY: u8 = 0;

/// The flash failed, or `sectors` is not what it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed;

/// Counts on; the first number is 1. `sectors` are bytes from the beginning of the flash, whole sectors, at least two; whatever
/// else is found there is erased.
pub(crate) fn next(flash: impl MultiwriteNorFlash, sectors: Range<u32>) -> Result<u32, Failed> {
    let place = MapConfig::try_new(sectors).map_err(|_| Failed)?;
    let mut map = MapStorage::<u8, _, _>::new(BlockingAsync::new(flash), place, Cache::new_uncached());
    let mut buffer = [0; 32];
    // Nothing in here ever waits: the adapter only looks asynchronous.
    block_on(async {
        let last = match map.fetch_item::<u32>(&mut buffer, &KEY).await {
            Ok(last) => last.unwrap_or(0),
            Err(sequential_storage::Error::Storage { .. }) => return Err(Failed),
            Err(_) => {
                map.erase_all().await.map_err(|_| Failed)?;
                0
            }
        };
        let number = last.wrapping_add(1);
        map.store_item(&mut buffer, &KEY, &number).await.map_err(|_| Failed)?;
        Ok(number)
    })
}
