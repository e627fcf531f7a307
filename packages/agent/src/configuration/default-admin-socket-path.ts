/** Where commands look for the agent's admin socket when nobody says otherwise: where SPIRE's look. */

export const DEFAULT_ADMIN_SOCKET_PATH = '/tmp/spire-agent/private/admin.sock';
