//! What must hold for all messages: any bytes can be decoded without harm, what is encoded comes back, and what does
//! not fit is refused.

mod arrays;
mod check;
mod generate;
mod limits;
mod messages;
mod parts;
