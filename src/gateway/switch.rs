//! A change of the code, the same in every room that protects.
//!
//! * **Does:** puts other codes in force between two turns, and hands back those that are out.
//! * **Fed by:** control, with codes whose memory it has allocated.
//! * **Feeds:** control, with what became of them.
//! * **Runs on:** the room's worker.
//! * **Must not:** allocate, or free what control has allocated.

use super::post::{self, CodeNews};
use super::shaper::Shaper;
use crate::fec::{Codes, Encoder};

/// Packets from the number that is returned on have the new code. Gives `codes` back as long as the code
/// before the last change was not taken back.
pub(super) fn switch(
    encoder: &mut Encoder,
    shaper: Option<&mut Shaper>,
    codes: Box<Codes>,
) -> Result<u64, Box<Codes>> {
    if let Some(backlog) = shaper.and_then(Shaper::backlog)
        && encoder.may_switch(&codes)
    {
        backlog.change(&codes);
    }
    encoder.switch(codes).map(|()| encoder.next_seq())
}

/// The code before the last change, once its last repair was sent or shed.
pub(super) fn take_retired(
    encoder: &mut Encoder,
    shaper: Option<&mut Shaper>,
) -> Option<Box<Codes>> {
    let next = encoder.next_seq();
    let out = shaper.and_then(Shaper::backlog).is_none_or(|backlog| backlog.is_up_to_date(next));
    if out { encoder.take_retired() } else { None }
}

/// Does what control has ordered, and tells it so. There is room for all that one change has to say.
#[cold]
pub(super) fn obey(
    encoder: &mut Encoder,
    shaper: Option<&mut Shaper>,
    news: Option<&post::Sender<CodeNews>>,
    codes: Box<Codes>,
) {
    let said = switch(encoder, shaper, codes).map_or_else(CodeNews::Refused, CodeNews::From);
    let _ = news.is_some_and(|news| news.send(said));
}

/// Hands the old code back when it is out, and control has room for it.
#[cold]
pub(super) fn retire(
    encoder: &mut Encoder,
    shaper: Option<&mut Shaper>,
    news: Option<&post::Sender<CodeNews>>,
) {
    if let Some(news) = news.filter(|news| news.has_room())
        && let Some(codes) = take_retired(encoder, shaper)
    {
        let _ = news.send(CodeNews::Retired(codes));
    }
}
