/** The engines of Podman: root's, and those of the users whom the configuration names, each at a socket of its own. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { parsedString } from '@bonafide/shared/config/parsed-string';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { z } from 'zod';
import { ContainerEngine } from './container-engine.js';
import type { ContainerLocation } from './container-of.js';
import { parseEngineAddress, parseEngineTemplate } from './engine-address.js';

/** Keys that the attestors of Docker and of Podman share. */
export const podmanKeys = {
  podman_socket_path: parsedString(parseEngineAddress).prefault('unix:///run/podman/podman.sock'),
  /** `%d` is the user's number. */
  podman_socket_path_template: parsedString(parseEngineTemplate).prefault(
    'unix:///run/user/%d/podman/podman.sock',
  ),
  /** Whose engines are believed about their containers: such a user can make them say anything. */
  rootless_uids: z
    .union([
      z.literal('any'),
      z
        .array(
          z
            .int()
            .min(1)
            .max(2 ** 32 - 2),
        )
        .max(10_000),
    ])
    .default([]),
};

type PodmanKeys = z.output<z.ZodObject<typeof podmanKeys>>;

/** `libpod-<id>.scope`, `libpod-payload-<id>`, and the cgroupfs driver's `/libpod/<id>`. */
export function isOfPodman({ prefix, path }: ContainerLocation): boolean {
  return prefix?.startsWith('libpod') === true || /\/libpod\/[^/]*$/.test(path);
}

/** More users than this at once: the engine that was asked longest ago is forgotten, which costs nothing. */
const MOST_ENGINES = 1000;

export class PodmanEngines {
  readonly #keys: PodmanKeys;
  readonly #clock: Clock;
  readonly #engines = new Map<string, ContainerEngine>();

  constructor(keys: PodmanKeys, clock: Clock) {
    this.#keys = keys;
    this.#clock = clock;
  }

  /** @throws BonafideError `permission_denied` for a container of a user whom the configuration does not name. */
  engineOf({ ownerUid }: ContainerLocation): ContainerEngine {
    const { podman_socket_path, podman_socket_path_template, rootless_uids } = this.#keys;
    if (ownerUid === undefined) return this.#engineAt(podman_socket_path);
    if (rootless_uids !== 'any' && !rootless_uids.includes(ownerUid)) {
      throw new BonafideError(
        'permission_denied',
        `the container is one of user ${ownerUid}, whose engine is not believed; rootless_uids would have to name ${ownerUid}`,
      );
    }
    return this.#engineAt(podman_socket_path_template(ownerUid));
  }

  #engineAt(socketPath: string): ContainerEngine {
    const engine =
      this.#engines.get(socketPath) ??
      new ContainerEngine({ socketPath, clock: this.#clock, keepsConnection: false });
    this.#engines.delete(socketPath);
    this.#engines.set(socketPath, engine);
    const [oldest] = this.#engines.keys();
    if (this.#engines.size > MOST_ENGINES && oldest !== undefined) this.#engines.delete(oldest);
    return engine;
  }

  close(): void {
    for (const engine of this.#engines.values()) engine.close();
  }
}
