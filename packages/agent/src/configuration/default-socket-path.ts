/** Where the Workload API is when nobody says otherwise: where SPIRE's agents have it. */

export const DEFAULT_SOCKET_PATH = '/tmp/spire-agent/public/api.sock';
