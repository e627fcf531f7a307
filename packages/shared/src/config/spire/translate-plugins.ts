/** SPIRE's `plugins`: each of ours gets its `plugin_data`, those switched off are left out, and the rest is refused with what to do instead. */
import { nearestName } from '../../cli/nearest-name.js';
import type { HclEntry, Place } from '../hcl/hcl-tree.js';
import type { SpirePlugins } from './spire-rules.js';
import { groupByKey, type Translation } from './translation.js';

const PLUGIN_KEYS = [
  'plugin_data',
  'plugin_data_file',
  'plugin_cmd',
  'plugin_args',
  'plugin_checksum',
  'enabled',
] as const;

export function translatePlugins(
  entries: readonly HclEntry[],
  plugins: SpirePlugins,
  translation: Translation,
): void {
  for (const entry of entries) {
    translation.tree.group(['plugins'], entry.at);
    const kinds = translation.groupsOf(entry.value, ['plugins']).flatMap((group) => group.entries);
    for (const [kind, sameKind] of groupByKey(kinds)) {
      const named = sameKind.flatMap(({ value }) =>
        translation.groupsOf(value, ['plugins', kind]).flatMap((group) => group.entries),
      );
      for (const [name, declared] of groupByKey(named)) {
        const [first, second] = declared;
        if (first === undefined) continue;
        if (second !== undefined) {
          translation.problem(
            second.at,
            ['plugins', kind, name],
            `this plugin is there twice, the first time in line ${first.at.line}`,
          );
          continue;
        }
        translatePlugin({ kind, name, entry: first }, plugins, translation);
      }
    }
  }
}

interface DeclaredPlugin {
  readonly kind: string;
  readonly name: string;
  readonly entry: HclEntry;
}

function translatePlugin(
  { kind, name, entry }: DeclaredPlugin,
  plugins: SpirePlugins,
  translation: Translation,
): void {
  const path = ['plugins', kind, name];
  const groups = translation.groupsOf(entry.value, path);
  const fields = groups.flatMap((group) => group.entries);
  if (isSwitchedOff(fields)) {
    translation.dropped.push({ path: path.join('.'), at: entry.at, why: 'it is switched off' });
    return;
  }
  const at = (key: string): Place | undefined => fields.find((field) => field.key === key)?.at;
  const command = at('plugin_cmd') ?? at('plugin_checksum');
  if (command !== undefined && !isBlank(fields, 'plugin_cmd')) {
    translation.problem(
      command,
      path,
      'is a program of its own, and none is started here; set enabled = false or take it out',
    );
    return;
  }
  if (at('plugin_data_file') !== undefined) return; // it could not be read, which is told
  for (const { key, at: place } of fields) {
    if (PLUGIN_KEYS.some((known) => known === key)) continue;
    const meant = nearestName(key, PLUGIN_KEYS);
    translation.problem(
      place,
      [...path, key],
      meant === undefined
        ? 'unknown key; what configures the plugin stands in plugin_data'
        : `unknown key; did you mean ${meant}?`,
    );
  }
  const known = translation.knownAt(['plugins', kind]);
  if (!known.includes(name)) {
    translation.problem(entry.at, path, missingText(kind, name, plugins, translation));
    return;
  }
  translation.tree.group(path, entry.at);
  const data = fields
    .filter(({ key }) => key === 'plugin_data')
    .flatMap(({ value }) => translation.groupsOf(value, [...path, 'plugin_data']))
    .flatMap((group) => group.entries);
  translation.group(data, path, plugins.data[kind]?.[name] ?? {}, [...path, 'plugin_data']);
}

function missingText(kind: string, name: string, plugins: SpirePlugins, translation: Translation): string {
  const missing = plugins.missing[kind];
  if (typeof missing === 'string') return missing;
  const reason = missing?.[name];
  if (reason !== undefined) return reason;
  const known = translation.knownAt(['plugins', kind]);
  if (known.length === 0) {
    const kinds = translation.knownAt(['plugins']);
    return `there are no plugins of kind ${kind}; kinds are ${kinds.join(', ')}`;
  }
  return `there is no plugin ${kind} ${JSON.stringify(name)}; expected ${known.join(', ')}`;
}

export function isSwitchedOff(fields: readonly HclEntry[]): boolean {
  return fields.some(({ key, value }) => key === 'enabled' && value.kind === 'scalar' && isOff(value.value));
}

function isOff(value: string | number | boolean): boolean {
  return value === false || /^(?:0|f|F|FALSE|false|False)$/.test(String(value));
}

function isBlank(fields: readonly HclEntry[], name: string): boolean {
  const field = fields.find(({ key }) => key === name);
  return field?.value.kind === 'scalar' && field.value.value === '';
}
