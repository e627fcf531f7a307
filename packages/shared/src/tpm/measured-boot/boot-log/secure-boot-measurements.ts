/**
 * PCR 7 in the one form that is accepted (TCG PC Client Platform Firmware Profile, section 3.3.4.8): each event's data
 * hashes to its digest, and the digests stand in the order in which firmware measures.
 */
import { createHash } from 'node:crypto';
import { invalidArgument } from '../../../errors/bonafide-error.js';
import { SECURE_BOOT_PCR, type PcrBank } from '../../algorithm.js';
import { digestOf, measurementsOf, type EventLog, type LogEvent } from '../event-log.js';
import {
  GLOBAL_VARIABLE_GUID,
  IMAGE_SECURITY_GUID,
  parseEfiVariable,
  type EfiVariable,
} from './efi-variable.js';
import { EVENT_TYPE } from './event-type.js';

const SEPARATOR = Buffer.alloc(4);

/** What firmware may measure before all else, in this order: that it is open to a debugger, or to devices. */
const FIRMWARE_ACTIONS = ['UEFI Debug Mode', 'DMA Protection Disabled'] as const;
type FirmwareAction = (typeof FIRMWARE_ACTIONS)[number];

const CONFIGURATION = [
  ['SecureBoot', GLOBAL_VARIABLE_GUID],
  ['PK', GLOBAL_VARIABLE_GUID],
  ['KEK', GLOBAL_VARIABLE_GUID],
  ['db', IMAGE_SECURITY_GUID],
  ['dbx', IMAGE_SECURITY_GUID],
] as const;
type ConfigurationName = (typeof CONFIGURATION)[number][0];

export interface SecureBootMeasurements {
  readonly actions: readonly FirmwareAction[];
  readonly configuration: Readonly<Record<ConfigurationName, Buffer>>;
  /** Other variables that were measured before the separator, AuditMode for example. */
  readonly furtherConfiguration: readonly EfiVariable[];
  /** What vouched for the images that were started, in order. */
  readonly authorities: readonly EfiVariable[];
}

/** @throws BonafideError invalid_argument */
export function parseSecureBootMeasurements(log: EventLog, bank: PcrBank): SecureBootMeasurements {
  const events = measurementsOf(log, SECURE_BOOT_PCR);
  for (const event of events) {
    expectBound(event, bank);
  }
  const separatorAt = placeOfTheSeparator(events);
  const actions = actionsOf(events);
  const configured = actions.length + CONFIGURATION.length;
  if (separatorAt < configured) {
    throw refusal('its separator stands before SecureBoot, PK, KEK, db and dbx');
  }
  const before = events.slice(configured, separatorAt);
  const isConfiguration = ({ type }: LogEvent): boolean => type === EVENT_TYPE.efiVariableDriverConfig;
  const further = before.filter(isConfiguration);
  const authorities = [
    ...before.filter((event) => !isConfiguration(event)),
    ...events.slice(separatorAt + 1),
  ];
  return {
    actions,
    configuration: configurationOf(events.slice(actions.length, configured)),
    furtherConfiguration: further.map((event) => parseEfiVariable(event.data)),
    authorities: authorities.map(authorityOf),
  };
}

/** Without this an event could say anything of itself. */
function expectBound(event: LogEvent, bank: PcrBank): void {
  if (!createHash(bank).update(event.data).digest().equals(digestOf(event, bank))) {
    throw refusal(`the data of event ${event.index} is not what was measured`);
  }
}

/** Nothing but the separator may look like one: what stands before it, only firmware can have measured. */
function placeOfTheSeparator(events: readonly LogEvent[]): number {
  const [first, ...others] = events.flatMap((event, place) =>
    event.type === EVENT_TYPE.separator || event.data.equals(SEPARATOR) ? [{ event, place }] : [],
  );
  if (
    first?.event.type !== EVENT_TYPE.separator ||
    !first.event.data.equals(SEPARATOR) ||
    others.length > 0
  ) {
    throw refusal('it has not exactly one separator of four zero bytes');
  }
  return first.place;
}

function actionsOf(events: readonly LogEvent[]): readonly FirmwareAction[] {
  const actions: FirmwareAction[] = [];
  for (const action of FIRMWARE_ACTIONS) {
    const event = events[actions.length];
    if (event?.type === EVENT_TYPE.efiAction && withoutEnd(event.data) === action) {
      actions.push(action);
    }
  }
  return actions;
}

/** Some firmware measures the zero byte at the end of the text, too. */
function withoutEnd(data: Buffer): string {
  return data.toString('latin1').replace(/\0$/u, '');
}

function configurationOf(events: readonly LogEvent[]): Readonly<Record<ConfigurationName, Buffer>> {
  const value = (place: number): Buffer => {
    const [name, vendorGuid] = CONFIGURATION[place] ?? [];
    const event = events[place];
    const variable =
      event?.type === EVENT_TYPE.efiVariableDriverConfig ? parseEfiVariable(event.data) : undefined;
    if (variable === undefined || variable.name !== name || variable.vendorGuid !== vendorGuid) {
      throw refusal(`measurement ${place + 1} of its configuration is not the variable ${name ?? ''}`);
    }
    return variable.value;
  };
  return { SecureBoot: value(0), PK: value(1), KEK: value(2), db: value(3), dbx: value(4) };
}

function authorityOf(event: LogEvent): EfiVariable {
  if (event.type !== EVENT_TYPE.efiVariableAuthority) {
    throw refusal(`event ${event.index} is neither configuration nor the authority of an image`);
  }
  return parseEfiVariable(event.data);
}

function refusal(why: string): Error {
  return invalidArgument(`the boot log does not prove the state of Secure Boot: in PCR 7, ${why}`);
}
