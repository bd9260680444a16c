module slipway/emulator

go 1.19
