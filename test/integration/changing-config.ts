/** The configuration of a program in the test's own process, which a test changes as an operator changes the file. */
import { LiveConfig, type ReloadResult } from '@bonafide/shared/config/live-config';
import { parseConfig } from '@bonafide/shared/config/load-config';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { mergeConfig, type ConfigFile } from '@bonafide/testing/merge-config';
import type { z } from 'zod';

export class ChangingConfig<Schema extends z.ZodType> {
  readonly atStart: z.output<Schema>;
  readonly live: LiveConfig<z.output<Schema>>;
  readonly #file: ConfigFile;
  #change: ConfigFile = {};

  constructor(file: ConfigFile, schema: Schema, log: Logger) {
    this.#file = file;
    const load = (): z.output<Schema> =>
      parseConfig('config.json', JSON.stringify(mergeConfig(this.#file, this.#change)), schema);
    this.atStart = load();
    this.live = new LiveConfig({ config: this.atStart, load: () => Promise.resolve().then(load), log });
  }

  /** As SIGHUP does, when the file has come to say this over what it said at the start; undefined takes a key away. */
  async reload(change: ConfigFile): Promise<ReloadResult> {
    this.#change = change;
    return this.live.reload();
  }
}
