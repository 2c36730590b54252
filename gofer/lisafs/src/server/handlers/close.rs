//! Close.

use crate::backend::Result;
use crate::server::context::Context;
use crate::server::exchange::{Reply, Request};
use crate::wire::message::CloseReq;

pub(super) fn close(context: &mut Context<'_>, request: Request<'_>, _: &mut Reply<'_>) -> Result<()> {
    let request: CloseReq<'_> = request.decode()?;
    for fd in request.fds.iter() {
        context.session.fds.close(fd);
    }
    Ok(())
}
