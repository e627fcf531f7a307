/** Turns what SPIRE's configuration says into what ours would say, and remembers from which line each thing came. */
import type { z } from 'zod';
import type { ConfigProblem } from '../config-problem.js';
import type { HclGroup, Place } from '../hcl/hcl-tree.js';
import type { SpireTranslation } from './spire-rules.js';
import { translatePlugins } from './translate-plugins.js';
import { Translation, type ChangedKey, type IgnoredKey } from './translation.js';

export interface Translated {
  /** What the schema judges next. */
  readonly root: unknown;
  readonly ignored: readonly IgnoredKey[];
  /** Left out without a warning. */
  readonly dropped: readonly IgnoredKey[];
  /** Said in another place or another way. */
  readonly changed: readonly ChangedKey[];
  readonly problems: readonly ConfigProblem[];
  /** Of the nearest thing that the file says, for a path of ours. */
  placeOf(path: readonly PropertyKey[]): Place | undefined;
}

/** Never throws: what cannot be translated is among the problems. */
export function translateSpire(
  file: HclGroup,
  schema: z.core.$ZodType,
  { keys, plugins }: SpireTranslation,
): Translated {
  const translation = new Translation(schema);
  const pluginEntries = plugins === undefined ? [] : file.entries.filter(({ key }) => key === 'plugins');
  const others = file.entries.filter((entry) => !pluginEntries.includes(entry));
  translation.group(others, [], keys);
  if (plugins !== undefined) translatePlugins(pluginEntries, plugins, translation);
  const { tree, changed, dropped, ignored, problems } = translation;
  return { root: tree.root, changed, dropped, ignored, problems, placeOf: (path) => tree.placeOf(path) };
}
