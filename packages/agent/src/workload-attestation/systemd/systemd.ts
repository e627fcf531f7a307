/** The `systemd` workload attestor: the unit that a process belongs to. The selectors are SPIRE's, and the slice. */
import { BonafideError, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { createSelector, type Selector } from '@bonafide/shared/registration/selector';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { z } from 'zod';
import type { AttestedProcess } from '../attested-process.js';
import { readCgroups } from '../cgroups.js';
import type { WorkloadAttestor, WorkloadAttestorHost, WorkloadAttestorPlugin } from '../workload-attestor.js';
import { DbusConnection } from './dbus-connection.js';
import { unitOfCgroups } from './unit-of-cgroups.js';

const configSchema = z.strictObject({
  /** Whether systemd is asked, over the system's message bus, for the unit's file; without it there is no `fragment_path`. */
  use_dbus: z.boolean().default(true),
  dbus_socket_path: z.string().startsWith('/').default('/run/dbus/system_bus_socket'),
});

export const systemd = {
  configSchema,
  create: (config, host): WorkloadAttestor => new SystemdAttestor(config, host),
} satisfies WorkloadAttestorPlugin<z.output<typeof configSchema>>;

const SYSTEMD = { destination: 'org.freedesktop.systemd1' };
const MANAGER = {
  ...SYSTEMD,
  path: '/org/freedesktop/systemd1',
  interface: 'org.freedesktop.systemd1.Manager',
};
const UNIT_INTERFACE = 'org.freedesktop.systemd1.Unit';
const LONGEST_PATH = 4096;
const CONNECT_LIMIT_MS = 5000;

class SystemdAttestor implements WorkloadAttestor {
  readonly #config: z.output<typeof configSchema>;
  readonly #clock: Clock;
  #connection: DbusConnection | undefined;
  #opening: Promise<DbusConnection> | undefined;

  constructor(config: z.output<typeof configSchema>, { clock }: WorkloadAttestorHost) {
    this.#config = config;
    this.#clock = clock;
  }

  async attest(process: AttestedProcess, signal: AbortSignal): Promise<readonly Selector[]> {
    // By the control group, not by the pid: that is a fact of the held process, in whatever pid namespace systemd counts.
    const location = unitOfCgroups(readCgroups(process));
    if (location === undefined) return [];
    const { unit, slice } = location;
    const selectors = [selector('id', unit), selector('slice', slice)];
    if (!this.#config.use_dbus) return selectors;
    const fragmentPath = await this.#fragmentPath(unit, signal);
    return [...selectors, selector('fragment_path', fragmentPath)];
  }

  close(): void {
    this.#connection?.close();
  }

  /** Empty for a unit that has no file. */
  async #fragmentPath(unit: string, signal: AbortSignal): Promise<string> {
    const connection = await this.#connect();
    try {
      const [path = ''] = await connection.call({ ...MANAGER, member: 'GetUnit', arguments: [unit] }, signal);
      const ask = async (property: string): Promise<string> => {
        const call = { ...SYSTEMD, path, interface: 'org.freedesktop.DBus.Properties', member: 'Get' };
        const [value] = await connection.call({ ...call, arguments: [UNIT_INTERFACE, property] }, signal);
        if (value === undefined)
          throw new BonafideError('unavailable', `systemd gives no ${property} of ${unit}`);
        return value;
      };
      const [id, fragmentPath] = await Promise.all([ask('Id'), ask('FragmentPath')]);
      if (id !== unit)
        throw new BonafideError('unavailable', `systemd takes ${unit} for ${JSON.stringify(id)}`);
      if (fragmentPath.length > LONGEST_PATH || (fragmentPath !== '' && !fragmentPath.startsWith('/'))) {
        throw new BonafideError('unavailable', `systemd gives no path as FragmentPath of ${unit}`);
      }
      return fragmentPath;
    } catch (error) {
      // A bus that is silent may be one that hangs: whoever comes next tries another connection. A caller that leaves says nothing of it.
      if (!hasReason(error, 'not_found', 'cancelled')) this.#forget(connection);
      throw error;
    }
  }

  /** One connection, opened for whoever comes first and for nobody's sake alone. */
  async #connect(): Promise<DbusConnection> {
    if (this.#connection?.isOpen === true) return this.#connection;
    this.#opening ??= this.#open();
    return await this.#opening;
  }

  async #open(): Promise<DbusConnection> {
    const late = new AbortController();
    const timer = this.#clock.schedule(CONNECT_LIMIT_MS, () => {
      late.abort();
    });
    try {
      this.#connection = await DbusConnection.open(this.#config.dbus_socket_path, late.signal);
      return this.#connection;
    } finally {
      timer.cancel();
      this.#opening = undefined;
    }
  }

  #forget(connection: DbusConnection): void {
    connection.close();
    if (this.#connection === connection) this.#connection = undefined;
  }
}

function selector(kind: string, value: string): Selector {
  return createSelector('systemd', `${kind}:${value}`);
}
