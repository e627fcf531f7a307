/** In which notation a configuration file is written: the extension says it, and for JSON what stands in it. */
import { extname } from 'node:path';

export type ConfigForm = 'own' | 'spire';

const SPIRE_EXTENSIONS: readonly string[] = ['.conf', '.hcl'];
const PLUGIN_KEYS = ['plugin_data', 'plugin_data_file', 'plugin_cmd', 'plugin_checksum', 'enabled'];

/** SPIRE reads JSON as another way to write HCL: groups may stand in lists, and plugins have a `plugin_data`. */
export function configForm(path: string, source: string): ConfigForm {
  const extension = extname(path).toLowerCase();
  if (SPIRE_EXTENSIONS.includes(extension)) return 'spire';
  if (extension !== '.json') return 'own';
  let root: unknown;
  try {
    root = JSON.parse(source);
  } catch {
    return 'own'; // where it is told what is wrong with it
  }
  const fields = isGroup(root) ? root : {};
  const { plugins } = fields;
  const isInLists = ['server', 'agent', 'plugins'].some((key) => Array.isArray(fields[key]));
  if (isInLists || plugins === undefined) return isInLists ? 'spire' : 'own';
  return isGroup(plugins) && Object.values(plugins).some(isSpireKind) ? 'spire' : 'own';
}

function isSpireKind(kind: unknown): boolean {
  if (Array.isArray(kind)) return true;
  if (!isGroup(kind)) return false;
  return Object.values(kind).some(
    (plugin) =>
      Array.isArray(plugin) || (isGroup(plugin) && PLUGIN_KEYS.some((key) => Object.hasOwn(plugin, key))),
  );
}

function isGroup(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
