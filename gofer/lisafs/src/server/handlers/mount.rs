//! Mount and Channel.

use super::answered;
use crate::backend::{Error, Result};
use crate::server::context::Context;
use crate::server::exchange::{Reply, Request};
use crate::wire::Array;
use crate::wire::message::{ChannelResp, MountResp};

pub(super) fn mount(context: &mut Context<'_>, _: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let session = context.session;
    let ticket = session.fds.reserve()?;
    let (attached, node) = session.attach()?;
    let (fd, root) = ticket.control(attached.root, node);
    let supported: Vec<u16> = answered(session.options.supported).map(|message| message.0).collect();
    reply.message(&MountResp {
        root,
        max_message_size: session.options.max_message_size,
        supported: Array::new(&supported).map_err(|_| Error::IO)?,
    })?;
    if let Some(host) = attached.donated {
        reply.donate(host)?;
    }
    fd.commit();
    Ok(())
}

pub(super) fn channel(context: &mut Context<'_>, _: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let opened = context.session.channels.open(|index| context.session.add_channel_thread(index))?;
    reply.message(&ChannelResp {
        data_offset: i64::try_from(opened.offset).map_err(|_| Error::NOMEM)?,
        data_length: opened.len as u64,
    })?;
    reply.donate(opened.memory)?;
    reply.donate(opened.fds)
}
