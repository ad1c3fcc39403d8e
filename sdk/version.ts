/** The version of this package, as `hello` carries it. A test holds it to package.json. */
export const SDK_VERSION = "0.1.0";
