//! Routes that stories speak of.

use tieline::RouteName;

/// A route name in a constant.
///
/// # Panics
/// When it is not valid.
#[must_use]
pub const fn name(type_name: &'static str, path: &'static str) -> RouteName {
    match RouteName::new(type_name, path) {
        Ok(name) => name,
        Err(_) => panic!("not a route name"),
    }
}

/// Measurements.
pub static IMU: RouteName = name("ImuSample", "sensors.imu");
/// Measurements of another kind.
pub static TEMPERATURE: RouteName = name("Celsius", "sensors.temperature");
/// Commands.
pub static COMMAND: RouteName = name("Command", "motor.command");
/// A text in either direction.
pub static CHAT: RouteName = name("Text", "chat");
/// A service.
pub static ADD: RouteName = name("Sum", "math.add");
/// Eight routes.
pub static EIGHT: [RouteName; 8] = [
    name("Value", "channels.one"),
    name("Value", "channels.two"),
    name("Value", "channels.three"),
    name("Value", "channels.four"),
    name("Value", "channels.five"),
    name("Value", "channels.six"),
    name("Value", "channels.seven"),
    name("Value", "channels.eight"),
];
