/** YAML that this project writes for people to keep, and reads again. */
import { stringify } from 'yaml';

/** Texts are quoted, for one of digits alone would be read as a number; none is broken over lines. */
export function formatYaml(value: unknown): string {
  return stringify(value, { defaultStringType: 'QUOTE_DOUBLE', lineWidth: 0 });
}
