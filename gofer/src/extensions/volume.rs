//! File systems of servers outside of this process: `volume:NAME`.

use parking_lot::Mutex;

use crate::extension::{Backends, Claim, Error, Extension, Preparation, Recipient, backends_of};
use crate::volume::{Control, HandOverError, Mount, Volume};

/// Hands connections over to the servers of volumes.
#[derive(Debug, Default)]
pub struct VolumeExtension {
    /// Connected while paths were the host's, one for each mount that wants it.
    prepared: Mutex<Vec<Control>>,
}

impl Extension for VolumeExtension {
    fn name(&self) -> &'static str {
        "volume"
    }

    fn check(&self, argument: &str, _backends: &Backends<'_>) -> Result<(), Error> {
        // Of a server that is not there, only the gofer's log would tell later.
        Ok(Volume::configured(argument)?.connect().map(drop)?)
    }

    fn open(&self, argument: &str, _backends: &Backends<'_>) -> Result<Claim, Error> {
        Err(format!("volume:{argument} is served by another process; no other backend can wrap it").into())
    }

    fn prepare(&self, preparation: &Preparation<'_>) -> Result<(), Error> {
        let Some(container) = preparation.container else { return Ok(()) };
        let names = backends_of(container.spec).filter_map(|backend| backend.strip_prefix("volume:"));
        // A mistake in a name would be a path of the host.
        let controls = names.map(|name| Volume::configured(name)?.connect());
        *self.prepared.lock() = controls.collect::<Result<_, HandOverError>>()?;
        Ok(())
    }

    fn recipient(&self, argument: &str, in_sandbox: bool) -> Result<Option<Box<dyn Recipient>>, Error> {
        if in_sandbox {
            let mut prepared = self.prepared.lock();
            let found = prepared.iter().position(|control| control.volume().name() == argument);
            // All that annotations name have been prepared.
            let found = found.ok_or_else(|| format!("nothing is prepared for volume {argument:?}"))?;
            return Ok(Some(Box::new(prepared.swap_remove(found))));
        }
        let volume = match argument.rsplit_once('#') {
            Some((socket, name)) => Volume::at(socket.as_ref(), name),
            None => Volume::configured(argument),
        }?;
        Ok(Some(Box::new(volume.connect()?)))
    }
}

impl Recipient for Control {
    fn hand_over(&self, connection: std::os::fd::OwnedFd, mount: &Mount<'_>) -> Result<(), Error> {
        Ok(Control::hand_over(self, connection, mount)?)
    }

    fn wait(&self) {
        Control::wait(self);
    }
}
