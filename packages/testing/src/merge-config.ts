/** Configuration files as plain data, and laying one over another. */

export interface ConfigFile {
  readonly [key: string]: ConfigValue;
}

type ConfigValue = string | number | boolean | readonly ConfigValue[] | ConfigFile | undefined;

/** Objects merge key by key; anything else, undefined included (it removes the key), replaces. */
export function mergeConfig(base: ConfigFile, over: ConfigFile): ConfigFile {
  const merged: Record<string, ConfigValue> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const old = merged[key];
    merged[key] = isObject(old) && isObject(value) ? mergeConfig(old, value) : value;
  }
  return merged;
}

function isObject(value: ConfigValue): value is ConfigFile {
  return typeof value === 'object' && !Array.isArray(value);
}
