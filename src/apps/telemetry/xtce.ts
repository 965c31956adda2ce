/**
 * The dictionary as XTCE 1.2 (OMG formal/18-10-04), so that Yamcs, OpenC3 COSMOS and others decode our telemetry without code.
 * Telemetry is complete. A command's container holds opcode and arguments; the authentication around it (key identifier, counter,
 * HMAC) is what XTCE cannot say, so a ground system sends through `omni cmd` or computes it as docs/commanding.md tells.
 */
import { CUC_OCTETS } from './cuc.ts';
import type { CommandDefinition, Dictionary, PacketDefinition, Parameter, ParameterType } from './dictionary.ts';

export const XTCE_NAMESPACE = 'http://www.omg.org/spec/XTCE/20180204';

export function xtceOf(dictionary: Dictionary): string {
  const root = element('SpaceSystem', {
    name: dictionary.name,
    shortDescription: dictionary.description,
    xmlns: XTCE_NAMESPACE,
    'xmlns:xsi': 'http://www.w3.org/2001/XMLSchema-instance',
    'xsi:schemaLocation': `${XTCE_NAMESPACE} https://www.omg.org/spec/XTCE/20180204/SpaceSystem.xsd`,
  })(
    element('Header', {
      version: '1',
      date: '2026-01-01',
      classification: 'NotClassified',
      validationStatus: 'Working',
    })(),
    element('TelemetryMetaData')(
      element('ParameterTypeSet')(
        ...HEADER_FIELDS.map(({ name, bits }) => integerType('ParameterType', name, bits)),
        timeType(),
        ...dictionary.packets.flatMap((p) => p.parameters.map((f) => dataType('ParameterType', typeName(p, f), f))),
      ),
      element('ParameterSet')(
        ...HEADER_FIELDS.map(({ name, description }) =>
          element('Parameter', { name, parameterTypeRef: name, shortDescription: description })(),
        ),
        element('Parameter', {
          name: 'time',
          parameterTypeRef: 'time',
          shortDescription: 'Spacecraft clock when the packet was made',
        })(),
        ...dictionary.packets.flatMap((p) =>
          p.parameters.map((f) =>
            element('Parameter', {
              name: typeName(p, f),
              parameterTypeRef: typeName(p, f),
              shortDescription: f.description,
            })(),
          ),
        ),
      ),
      element('ContainerSet')(headerContainer(), ...dictionary.packets.map(packetContainer)),
    ),
    element('CommandMetaData')(
      element('ArgumentTypeSet')(
        ...dictionary.commands.flatMap((c) => c.arguments.map((a) => dataType('ArgumentType', argumentName(c, a), a))),
      ),
      element('MetaCommandSet')(...dictionary.commands.map(metaCommand)),
    ),
  );
  return `<?xml version="1.0" encoding="UTF-8"?>\n${root.join('\n')}\n`;
}

/** CCSDS 133.0-B-2 §4.1.3. */
const HEADER_FIELDS = [
  { name: 'ccsds-version', bits: 3, description: 'Packet version number' },
  { name: 'ccsds-type', bits: 1, description: '0 telemetry, 1 telecommand' },
  { name: 'ccsds-secondary-header', bits: 1, description: 'Whether there is a secondary header' },
  { name: 'ccsds-apid', bits: 11, description: 'Application process identifier' },
  { name: 'ccsds-sequence-flags', bits: 2, description: '3: unsegmented' },
  { name: 'ccsds-sequence-count', bits: 14, description: 'Sequence count of the APID' },
  { name: 'ccsds-data-length', bits: 16, description: 'Octets of the packet data field minus one' },
] as const;

function headerContainer(): string[] {
  return element('SequenceContainer', {
    name: 'ccsds-packet',
    abstract: 'true',
    shortDescription: 'CCSDS space packet with a CUC time',
  })(
    element('EntryList')(
      ...HEADER_FIELDS.map(({ name }) => element('ParameterRefEntry', { parameterRef: name })()),
      element('ParameterRefEntry', { parameterRef: 'time' })(),
    ),
  );
}

function packetContainer(packet: PacketDefinition): string[] {
  return element('SequenceContainer', { name: packet.name, shortDescription: packet.description })(
    element('EntryList')(
      ...packet.parameters.map((f) => element('ParameterRefEntry', { parameterRef: typeName(packet, f) })()),
    ),
    element('BaseContainer', { containerRef: 'ccsds-packet' })(
      element('RestrictionCriteria')(
        element('ComparisonList')(
          element('Comparison', { parameterRef: 'ccsds-type', value: '0' })(),
          element('Comparison', { parameterRef: 'ccsds-apid', value: String(packet.apid) })(),
        ),
      ),
    ),
  );
}

function metaCommand(command: CommandDefinition): string[] {
  return element('MetaCommand', { name: command.name, shortDescription: command.description })(
    ...(command.arguments.length === 0
      ? []
      : [
          element('ArgumentList')(
            ...command.arguments.map((a) =>
              element('Argument', {
                name: a.name,
                argumentTypeRef: argumentName(command, a),
                shortDescription: a.description,
              })(),
            ),
          ),
        ]),
    element('CommandContainer', { name: command.name })(
      element('EntryList')(
        element('FixedValueEntry', {
          name: 'opcode',
          binaryValue: command.opcode.toString(16).padStart(4, '0').toUpperCase(),
          sizeInBits: '16',
        })(),
        ...command.arguments.map((a) => element('ArgumentRefEntry', { argumentRef: a.name })()),
      ),
    ),
    ...(command.hazardous
      ? [element('DefaultSignificance', { consequenceLevel: 'critical', reasonForWarning: 'hazardous' })()]
      : []),
  );
}

const typeName = (packet: PacketDefinition, field: Parameter): string => `${packet.name}-${field.name}`;
const argumentName = (command: CommandDefinition, argument: Parameter): string => `${command.name}-${argument.name}`;

function timeType(): string[] {
  return element('AbsoluteTimeParameterType', { name: 'time' })(
    element('Encoding', { units: 'seconds', scale: String(2 ** -16) })(
      element('IntegerDataEncoding', { sizeInBits: String(CUC_OCTETS * 8), encoding: 'unsigned' })(),
    ),
    element('ReferenceTime')(text('Epoch', '1970-01-01T00:00:00Z')),
  );
}

function integerType(kind: 'ParameterType', name: string, bits: number): string[] {
  return element(`Integer${kind}`, { name, signed: 'false', sizeInBits: String(Math.max(8, bits)) })(
    element('UnitSet')(),
    element('IntegerDataEncoding', { sizeInBits: String(bits), encoding: 'unsigned' })(),
  );
}

function dataType(kind: 'ParameterType' | 'ArgumentType', name: string, field: Parameter): string[] {
  const { type } = field;
  const units = element('UnitSet')(...(field.unit === undefined ? [] : [text('Unit', field.unit)]));
  const encoding = encodingOf(type, field.calibration);
  const alarms = kind === 'ParameterType' ? alarmsOf(field) : [];
  switch (type.kind) {
    case 'boolean':
      return element(`Boolean${kind}`, { name, oneStringValue: 'true', zeroStringValue: 'false' })(units, encoding);
    case 'text':
      return element(`String${kind}`, { name })(units, encoding);
    case 'enumerated':
      return element(`Enumerated${kind}`, { name })(
        units,
        encoding,
        element('EnumerationList')(
          ...type.labels.map((label, value) => element('Enumeration', { value: String(value), label })()),
        ),
      );
    default: {
      const calibrated = field.calibration !== undefined;
      if (type.kind === 'float' || calibrated) {
        const range = rangeOf(kind, field, 'Float');
        const size = type.kind === 'float' ? type.bits : 64;
        return element(`Float${kind}`, { name, sizeInBits: String(size) })(units, encoding, ...range, ...alarms);
      }
      const range = rangeOf(kind, field, 'Integer');
      const attributes = { name, signed: String(type.kind === 'signed'), sizeInBits: String(type.bits) };
      return element(`Integer${kind}`, attributes)(units, encoding, ...range, ...alarms);
    }
  }
}

function encodingOf(type: ParameterType, calibration: Parameter['calibration']): string[] {
  const calibrator =
    calibration === undefined
      ? []
      : [
          element('DefaultCalibrator')(
            element('PolynomialCalibrator')(
              element('Term', { coefficient: String(calibration.offset), exponent: '0' })(),
              element('Term', { coefficient: String(calibration.slope), exponent: '1' })(),
            ),
          ),
        ];
  switch (type.kind) {
    case 'boolean':
      return element('IntegerDataEncoding', { sizeInBits: '8', encoding: 'unsigned' })();
    case 'text':
      return element('StringDataEncoding', { encoding: 'UTF-8' })(
        element('SizeInBits')(
          element('Fixed')(text('FixedValue', String(type.octets * 8))),
          text('TerminationChar', '00'),
        ),
      );
    case 'float':
      return element('FloatDataEncoding', { sizeInBits: String(type.bits), encoding: 'IEEE754_1985' })(...calibrator);
    default: {
      const encoding = type.kind === 'signed' ? 'twosComplement' : 'unsigned';
      return element('IntegerDataEncoding', { sizeInBits: String(type.bits), encoding })(...calibrator);
    }
  }
}

function rangeOf(kind: 'ParameterType' | 'ArgumentType', field: Parameter, number: 'Float' | 'Integer'): string[][] {
  if (kind !== 'ArgumentType' || field.range === undefined) return [];
  const [low, high] = field.range;
  const write = (value: number) => (number === 'Integer' ? value.toFixed(0) : String(value));
  return [element('ValidRangeSet')(element('ValidRange', { minInclusive: write(low), maxInclusive: write(high) })())];
}

function alarmsOf({ limits }: Parameter): string[][] {
  if (limits === undefined) return [];
  const range = (name: string, bounds?: readonly [number, number]) =>
    bounds === undefined ? [] : [element(name, { minInclusive: String(bounds[0]), maxInclusive: String(bounds[1]) })()];
  return [
    element('DefaultAlarm')(
      element('StaticAlarmRanges')(...range('WarningRange', limits.watch), ...range('CriticalRange', limits.alarm)),
    ),
  ];
}

type Attributes = Readonly<Record<string, string>>;

/** An element's lines; its children are elements' lines. */
function element(name: string, attributes: Attributes = {}): (...children: string[][]) => string[] {
  const open = [name, ...Object.entries(attributes).map(([key, value]) => `${key}="${escapeXml(value)}"`)].join(' ');
  return (...children) =>
    children.length === 0 ? [`<${open}/>`] : [`<${open}>`, ...children.flat().map((line) => `  ${line}`), `</${name}>`];
}

const text = (name: string, content: string): string[] => [`<${name}>${escapeXml(content)}</${name}>`];

const escapeXml = (value: string): string =>
  value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
