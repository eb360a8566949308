"""IEEE 11073 (MDC) codes of the Generic Health Sensor, with their vitals and UCUM units.

Terms and units are those of the HL7 PHD guide and of the Philips client, the only published GHS
implementation. Skin temperature (150388) is no body temperature and is left out. Marked [m]: from
memory, not seen in a second source.
"""

from __future__ import annotations

CONTROL_SOLUTION = 160208

VITALS: dict[int, str] = {
    147842: "heart_rate",  # MDC_ECG_HEART_RATE
    149514: "pulse_rate",  # MDC_PULS_RATE
    149530: "pulse_rate",  # MDC_PULS_OXIM_PULS_RATE
    149546: "pulse_rate",  # MDC_PULS_RATE_NON_INV
    147240: "rr_interval",  # MDC_ECG_TIME_PD_RR_GL [m]
    150448: "perfusion_index",  # MDC_BLD_PERF_INDEX / perfusion modulation
    150456: "oxygen_saturation",  # MDC_PULS_OXIM_SAT_O2
    150021: "systolic",
    150022: "diastolic",
    150023: "mean_arterial",
    150364: "body_temperature",  # MDC_TEMP_BODY
    150368: "body_temperature",  # core
    150392: "body_temperature",  # tympanic
    188420: "body_temperature",  # rectal
    188424: "body_temperature",  # oral
    188428: "body_temperature",  # ear
    188452: "body_temperature",  # axilla
    188456: "body_temperature",  # gastrointestinal
    188736: "weight",  # MDC_MASS_BODY_ACTUAL
    188740: "height",
    188748: "body_fat",
    188752: "bmi",
    151562: "respiratory_rate",
    151578: "respiratory_rate",  # thoracic
    151658: "respiratory_rate",  # plethysmographic
    160020: "glucose",
    160184: "glucose",  # capillary whole blood
    160188: "glucose",  # capillary plasma
    160192: "glucose",  # venous whole blood
    160196: "glucose",  # venous plasma
    160200: "glucose",  # arterial whole blood
    160204: "glucose",  # arterial plasma
    160364: "glucose",  # undetermined whole blood
    160368: "glucose",  # undetermined plasma
    CONTROL_SOLUTION: "glucose",  # flagged, as 2A18 does
    160212: "glucose_interstitial",
    152584: "peak_flow",
    152586: "fev1",
    67996: "battery",  # MDC_ATTR_VAL_BATT_CHARGE [m]
}

UNIT_PARTITION = 0x40000  # the wire carries the low 16 bits of a code of MDC partition 4

UNITS: dict[int, str] = {
    262688: "%",
    263424: "m",
    263441: "cm",
    263442: "mm",
    263520: "[in_i]",
    263744: "L",
    263762: "mL",
    263872: "g",
    263875: "kg",
    263904: "[lb_av]",
    264274: "mg/dL",
    264320: "s",
    264338: "ms",
    264672: "/min",  # per minute
    264864: "/min",  # beats
    264896: "/min",  # pulses
    264928: "/min",  # respirations
    265184: "L/s",
    265201: "cL/s",
    265202: "mL/s",
    265216: "L/min",
    265987: "kPa",
    266016: "mm[Hg]",
    266560: "[degF]",
    266866: "mmol/L",
    268192: "Cel",
    269891: "kg/m2",
}
