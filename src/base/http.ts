/**
 * `node:http` without a look at all of it. An import of that module reads each of its properties, and the getter of one,
 * WebSocket, loads the whole fetch implementation: 15 MB of a small process, 3.5 of the daemon, that nothing here needs.
 */
export const http = process.getBuiltinModule("node:http");
