mod malice;
mod ring;
mod say;
mod two;
mod world;
