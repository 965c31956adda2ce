/** What an omni spacecraft says and understands. docs/telemetry-dictionary.md and the XTCE file are made from this. */
import type { Dictionary, Parameter } from './dictionary.ts';

const u8 = { kind: 'unsigned', bits: 8 } as const;
const u16 = { kind: 'unsigned', bits: 16 } as const;
const u32 = { kind: 'unsigned', bits: 32 } as const;
const u64 = { kind: 'unsigned', bits: 64 } as const;
const f32 = { kind: 'float', bits: 32 } as const;
const f64 = { kind: 'float', bits: 64 } as const;
const boolean = { kind: 'boolean' } as const;
const text = (octets: number) => ({ kind: 'text', octets }) as const;

export const MODES = ['safe', 'nominal'] as const;

/** Stages of a telecommand, as ECSS-E-ST-70-41C service 1 names them (TM[1,1] … TM[1,8]). */
export const STAGES = [
  'acceptance',
  'acceptanceFailure',
  'start',
  'startFailure',
  'progress',
  'progressFailure',
  'completion',
  'completionFailure',
] as const;

/** Why a command was refused; also a counter's name. */
export const REFUSALS = [
  'none',
  'malformed',
  'oversized',
  'unknownKey',
  'forged',
  'replayed',
  'outOfWindow',
  'unknownCommand',
  'arguments',
  'late',
  'scheduleFull',
  'unavailable',
  'failed',
] as const;

const path: Parameter = { name: 'path', description: 'File, relative to the folder that FTP serves.', type: text(96) };

export const SPACECRAFT: Dictionary = {
  name: 'omni',
  description: 'Telemetry and telecommands of an omni spacecraft',
  commandApid: 0x10,
  packets: [
    {
      name: 'housekeeping',
      apid: 0x01,
      description: 'The state of the spacecraft and its command receiver.',
      parameters: [
        { name: 'mode', description: 'Operating mode.', type: { kind: 'enumerated', bits: 8, labels: MODES } },
        { name: 'uptimeSeconds', description: 'Since the app process began.', type: u32, unit: 's' },
        { name: 'bootCount', description: 'Starts of the app process.', type: u16 },
        {
          name: 'boardTemperature',
          description: 'Of the computer; simulated along the orbit.',
          type: { kind: 'signed', bits: 16 },
          unit: 'degC',
          calibration: { offset: 0, slope: 0.01 },
          limits: { watch: [-20, 50], alarm: [-30, 60] },
        },
        {
          name: 'busVoltage',
          description: 'Of the power bus; simulated along the orbit.',
          type: u16,
          unit: 'V',
          calibration: { offset: 0, slope: 0.001 },
          limits: { watch: [24, 33], alarm: [22, 34] },
        },
        { name: 'processorLoad', description: 'Share of one processor this process used.', type: f32, unit: '%' },
        { name: 'memoryOctets', description: 'Resident memory of the app process.', type: u64, unit: 'octets' },
        { name: 'commandsAccepted', description: 'Telecommands accepted since the boot.', type: u32 },
        { name: 'commandsExecuted', description: 'Telecommands completed since the boot.', type: u32 },
        { name: 'commandsRefused', description: 'Telecommands refused since the boot.', type: u32 },
        {
          name: 'lastRefusal',
          description: 'Why the last one was refused.',
          type: { kind: 'enumerated', bits: 8, labels: REFUSALS },
        },
        { name: 'highestCounter', description: 'Highest command counter accepted, of any key.', type: u64 },
      ],
    },
    {
      name: 'clock',
      apid: 0x02,
      description: 'The clock and what its NTP client believes of it.',
      parameters: [
        { name: 'ntpEnabled', description: 'Whether NTP steers the clock.', type: boolean },
        { name: 'stratum', description: '16 until synchronised.', type: u8 },
        {
          name: 'reportedOffsetSeconds',
          description: "The client's last offset, server minus clock.",
          type: f64,
          unit: 's',
          limits: { watch: [-0.1, 0.1], alarm: [-1, 1] },
        },
        { name: 'frequencyPpm', description: 'Frequency correction in force.', type: f32, unit: 'ppm' },
        {
          name: 'trueErrorSeconds',
          description: 'Clock minus truth, which only a testbed knows.',
          type: f64,
          unit: 's',
        },
      ],
    },
    {
      name: 'link',
      apid: 0x03,
      description: 'The space link as the spacecraft sees it.',
      parameters: [
        { name: 'inContact', description: 'By the contact plan.', type: boolean },
        { name: 'packetsOut', description: 'Sent on the link.', type: u32 },
        { name: 'packetsIn', description: 'Received from the link.', type: u32 },
        { name: 'octetsOut', description: 'Sent on the link.', type: u64, unit: 'octets' },
        { name: 'octetsIn', description: 'Received from the link.', type: u64, unit: 'octets' },
        { name: 'errorsIn', description: 'Receive errors.', type: u32 },
        { name: 'droppedOut', description: 'Dropped before the link.', type: u32 },
      ],
    },
    {
      name: 'camera',
      apid: 0x04,
      description: 'The camera.',
      parameters: [
        { name: 'imagesTaken', description: 'Since the boot.', type: u32 },
        { name: 'lastImageOctets', description: 'Size of the last image.', type: u32, unit: 'octets' },
        { name: 'lastImage', description: 'Its file name.', type: text(32) },
      ],
    },
    {
      name: 'storage',
      apid: 0x05,
      description: 'Files and the onboard telemetry store.',
      parameters: [
        { name: 'files', description: 'Files in the folder that FTP serves.', type: u32 },
        { name: 'usedOctets', description: 'Their octets.', type: u64, unit: 'octets' },
        { name: 'freeOctets', description: 'Free on that file system.', type: u64, unit: 'octets' },
        { name: 'storedPackets', description: 'Telemetry packets waiting for the ground.', type: u32 },
        { name: 'storedOctets', description: 'Their octets.', type: u32, unit: 'octets' },
        {
          name: 'overwrittenPackets',
          description: 'Lost because the store was full.',
          type: u32,
          limits: { watch: [0, 0] },
        },
      ],
    },
    {
      name: 'mailQueue',
      apid: 0x06,
      description: 'The store-and-forward mail queue.',
      parameters: [
        { name: 'messages', description: 'Messages queued.', type: u32 },
        { name: 'octets', description: 'Their octets.', type: u64, unit: 'octets' },
        { name: 'oldestSeconds', description: 'Age of the oldest.', type: u32, unit: 's' },
      ],
    },
    {
      name: 'verification',
      apid: 0x07,
      description:
        'What became of a telecommand, stage by stage (after ECSS-E-ST-70-41C service 1); sent when it happens.',
      parameters: [
        { name: 'stage', description: 'Which report.', type: { kind: 'enumerated', bits: 8, labels: STAGES } },
        { name: 'keyId', description: 'Key of the command.', type: u32 },
        { name: 'counter', description: 'Counter of the command.', type: u64 },
        { name: 'opcode', description: 'Opcode of the command, zero when not known.', type: u16 },
        { name: 'refusal', description: 'Why it failed.', type: { kind: 'enumerated', bits: 8, labels: REFUSALS } },
        { name: 'detail', description: 'In words.', type: text(64) },
      ],
    },
  ],
  commands: [
    { name: 'ping', opcode: 0x0001, description: 'Does nothing and says so.', arguments: [], action: 'ping' },
    {
      name: 'ntp',
      opcode: 0x0010,
      description: 'Switches NTP on or off.',
      arguments: [{ name: 'on', description: 'Whether NTP steers the clock.', type: boolean }],
      action: 'ntp.enable',
    },
    {
      name: 'clock-adjust',
      opcode: 0x0011,
      description: 'Sets the clock forward (or back) by this much.',
      arguments: [{ name: 'seconds', description: 'To add to the clock.', type: f64, unit: 's', range: [-4e9, 4e9] }],
      action: 'clock.adjust',
    },
    {
      name: 'clock-set',
      opcode: 0x0012,
      description: 'Sets the clock to this time.',
      arguments: [
        {
          name: 'unixSeconds',
          description: 'Seconds since 1970-01-01 UTC, with fractions.',
          type: f64,
          unit: 's',
          range: [0, 4_294_967_295],
        },
      ],
      action: 'clock.set',
    },
    {
      name: 'mode',
      opcode: 0x0020,
      description: 'Changes the operating mode.',
      arguments: [{ name: 'mode', description: 'The new mode.', type: { kind: 'enumerated', bits: 8, labels: MODES } }],
      action: 'mode',
    },
    {
      name: 'camera-take',
      opcode: 0x0030,
      description: 'Takes an image into the folder that FTP serves.',
      arguments: [
        {
          name: 'octets',
          description: 'Its size; 0 for the usual.',
          type: u32,
          unit: 'octets',
          range: [0, 50_000_000],
        },
      ],
      action: 'camera.take',
    },
    {
      name: 'file-dump',
      opcode: 0x0040,
      description: 'Mails a file to the ground at low priority.',
      arguments: [path],
      action: 'file.dump',
    },
    {
      name: 'file-delete',
      opcode: 0x0041,
      description: 'Deletes a file.',
      arguments: [path],
      action: 'file.delete',
      hazardous: true,
    },
    {
      name: 'link-rate',
      opcode: 0x0050,
      description: 'Changes the rate of the return link.',
      arguments: [
        { name: 'bitPerSec', description: 'The new rate.', type: u32, unit: 'bit/s', range: [100, 1_000_000_000] },
      ],
      action: 'link.rate',
      hazardous: true,
    },
    {
      name: 'telemetry-interval',
      opcode: 0x0060,
      description: 'Sets how often a packet is sent; 0 stops it.',
      arguments: [
        { name: 'apid', description: 'Which packet.', type: u16, range: [0, 2047] },
        { name: 'seconds', description: 'From one to the next.', type: f32, unit: 's', range: [0, 86_400] },
      ],
      action: 'telemetry.interval',
    },
    {
      name: 'telemetry-replay',
      opcode: 0x0061,
      description: 'Sends what the onboard store still has of the last so many seconds again.',
      arguments: [{ name: 'seconds', description: 'How far back.', type: u32, unit: 's' }],
      action: 'telemetry.replay',
    },
    {
      name: 'queue-flush',
      opcode: 0x0070,
      description: 'Tries all queued mail now.',
      arguments: [],
      action: 'mail.flush',
    },
    {
      name: 'reboot',
      opcode: 0x00ff,
      description: 'Restarts the app process.',
      arguments: [],
      action: 'reboot',
      hazardous: true,
    },
  ],
};
