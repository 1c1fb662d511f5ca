mod malice;
mod ring;
mod two;
mod world;
