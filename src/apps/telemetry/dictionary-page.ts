/** The dictionary as a page of the manual (Markdown). */
import type { Dictionary, Parameter, ParameterType } from './dictionary.ts';

export function dictionaryPage(dictionary: Dictionary): string {
  const lines = [
    '# Telemetry and command dictionary',
    '',
    `${dictionary.description}. Made by \`omni tlm dictionary --markdown\`; the same description gives encoder, decoder and XTCE.`,
    '',
    'Every telemetry packet is a CCSDS space packet with a secondary header of six octets: CUC time, 4 octets of seconds since',
    '1970-01-01 UTC and 2 of fractions. Fields follow in order, in network order. A float that is not known is NaN.',
    '',
    '## Telemetry',
  ];
  for (const packet of dictionary.packets)
    lines.push(
      '',
      `### ${packet.name} (APID ${packet.apid})`,
      packet.description,
      '',
      '| parameter | type | unit | meaning | limits |',
      '|---|---|---|---|---|',
      ...packet.parameters.map(
        (p) =>
          `| ${p.name} | ${typeText(p.type)}${scaleText(p)} | ${p.unit ?? ''} | ${p.description} | ${limitText(p)} |`,
      ),
    );
  lines.push(
    '',
    `## Commands (APID ${dictionary.commandApid})`,
    '',
    '| command | opcode | arguments | meaning |',
    '|---|---|---|---|',
  );
  for (const command of dictionary.commands) {
    const args = command.arguments.map(
      (a) => `${a.name}: ${typeText(a.type)}${a.unit === undefined ? '' : `, ${a.unit}`}${rangeText(a)}`,
    );
    lines.push(
      `| ${command.name} | ${command.opcode} | ${args.join('; ')} | ${command.description}${command.hazardous ? ' Asks for confirmation.' : ''} |`,
    );
  }
  return `${lines.join('\n')}\n`;
}

export function typeText(type: ParameterType): string {
  switch (type.kind) {
    case 'boolean':
      return 'boolean';
    case 'text':
      return `text of ${type.octets} octets`;
    case 'enumerated':
      return type.labels.join(', ');
    default:
      return `${type.kind} ${type.bits}`;
  }
}

const scaleText = ({ calibration }: Parameter): string =>
  calibration === undefined
    ? ''
    : ` × ${calibration.slope}${calibration.offset === 0 ? '' : ` + ${calibration.offset}`}`;
const rangeText = ({ range }: Parameter): string => (range === undefined ? '' : `, ${range[0]} to ${range[1]}`);
const limitText = ({ limits }: Parameter): string =>
  [limits?.watch && `watch ${limits.watch.join('…')}`, limits?.alarm && `alarm ${limits.alarm.join('…')}`]
    .filter(Boolean)
    .join('; ');
