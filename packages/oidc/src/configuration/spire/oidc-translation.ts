/** What becomes of the configuration of SPIRE's OIDC discovery provider where it is not the same here. */
import { group, ignored, type SpireTranslation } from '@bonafide/shared/config/spire/spire-rules';

const NO_WINDOWS = 'Windows is not served; sockets are used';
const pipes = group({ named_pipe_name: ignored(NO_WINDOWS) });

export const oidcTranslation = {
  keys: {
    acme: group({ cache_dir: { kind: 'same', keepsEmpty: true } }),
    server_api: group({ experimental: pipes }),
    workload_api: group({ experimental: pipes }),
    experimental: group({ listen_named_pipe_name: ignored(NO_WINDOWS) }),
  },
  plugins: undefined,
} satisfies SpireTranslation;
