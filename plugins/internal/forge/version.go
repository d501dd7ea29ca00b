package forge

// Version is the version of the built-in plugins, which are released together.
const Version = "0.1.0"
