pub fn start(_: embassy_executor::Spawner) {}
