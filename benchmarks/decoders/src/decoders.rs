//! Every candidate behind one signature: JPEG bytes to RGB (or grey) bytes.

pub type Result = std::result::Result<(), String>;
pub type Decode = Box<dyn FnMut(&[u8], &mut Vec<u8>) -> Result>;

/// Largest image a candidate may be asked to decode.
const MAX_PIXELS: usize = 1 << 24;

fn text(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

struct StopAtWrongRestart;

impl libjpeg_turbo_rs::RestartResyncStrategy for StopAtWrongRestart {
    fn on_desync(&mut self, _: u8, _: Option<u8>) -> libjpeg_turbo_rs::ResyncAction {
        libjpeg_turbo_rs::ResyncAction::Abort
    }
}

fn turbo_rs(strict: bool) -> Decode {
    use libjpeg_turbo_rs::{DecodeLimits, Decoder, PixelFormat};
    Box::new(move |jpeg, out| {
        let limits = DecodeLimits { max_pixels: MAX_PIXELS as u64, ..DecodeLimits::default() };
        let decoder = Decoder::new_with_limits(jpeg, limits).map_err(text)?;
        if decoder.header().components.len() == 4 {
            return Err("four components".into());
        }
        let mut decoder = decoder
            .with_output_format(PixelFormat::Rgb)
            .with_block_smoothing(true)
            .with_stop_on_warning(strict);
        if strict {
            decoder.set_resync_strategy(StopAtWrongRestart);
        }
        out.resize(decoder.output_buffer_size().map_err(text)?, 0);
        decoder.decode_image_into(out).map_err(text)?;
        Ok(())
    })
}

fn zune(strict: bool) -> Decode {
    use zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};
    let options =
        DecoderOptions::default().set_strict_mode(strict).jpeg_set_out_colorspace(ColorSpace::RGB);
    Box::new(move |jpeg, out| {
        let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(jpeg), options);
        decoder.decode_headers().map_err(text)?;
        if decoder.input_colorspace().is_some_and(|space| space.num_components() == 4) {
            return Err("four components".into());
        }
        let size = decoder.output_buffer_size().ok_or("no size")?;
        out.resize(size.min(3 * MAX_PIXELS), 0);
        decoder.decode_into(out).map_err(text)
    })
}

fn jpeg_decoder() -> Decode {
    Box::new(|jpeg, out| {
        let mut decoder = jpeg_decoder::Decoder::new(jpeg);
        decoder.set_max_decoding_buffer_size(3 * MAX_PIXELS);
        *out = decoder.decode().map_err(text)?;
        match decoder.info().ok_or("no info")?.pixel_format {
            jpeg_decoder::PixelFormat::CMYK32 => Err("four components".into()),
            _ => Ok(()),
        }
    })
}

fn rusty() -> Decode {
    Box::new(|jpeg, out| {
        let mut decoder = rusty_jpeg::Decoder::new(jpeg);
        decoder.set_max_decoding_buffer_size(3 * MAX_PIXELS);
        decoder.set_single_threaded(true);
        *out = decoder.decode().map_err(text)?;
        match decoder.info().ok_or("no info")?.pixel_format {
            rusty_jpeg::PixelFormat::CMYK32 => Err("four components".into()),
            _ => Ok(()),
        }
    })
}

#[cfg(feature = "turbojpeg")]
fn turbojpeg() -> Decode {
    let mut decoder = turbojpeg::Decompressor::new().unwrap();
    let mut decode = move |jpeg: &[u8], out: &mut Vec<u8>, renew: bool| {
        if renew {
            decoder = turbojpeg::Decompressor::new().unwrap();
        }
        let header = decoder.read_header(jpeg).map_err(text)?;
        if header.width * header.height > MAX_PIXELS {
            return Err("too large".into());
        }
        out.resize(3 * header.width * header.height, 0);
        let image = turbojpeg::Image {
            pixels: &mut out[..],
            width: header.width,
            pitch: 3 * header.width,
            height: header.height,
            format: turbojpeg::PixelFormat::RGB,
        };
        decoder.decompress(jpeg, image).map_err(text)
    };
    // A handle that has met an error does not recover from it.
    let mut failed = false;
    Box::new(move |jpeg, out| {
        let result = decode(jpeg, out, failed);
        failed = result.is_err();
        result
    })
}

#[cfg(feature = "mozjpeg")]
fn mozjpeg(strict: bool) -> Decode {
    use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
    extern "C-unwind" fn stop(cinfo: &mut mozjpeg_sys::jpeg_common_struct) {
        let code = unsafe { cinfo.err.as_ref() }.map_or(0, |err| err.msg_code);
        resume_unwind(Box::new(code))
    }
    extern "C-unwind" fn message(cinfo: &mut mozjpeg_sys::jpeg_common_struct, level: i32) {
        if level < 0 {
            stop(cinfo)
        }
    }
    extern "C-unwind" fn quiet(_: &mut mozjpeg_sys::jpeg_common_struct, _: i32) {}
    Box::new(move |jpeg, out| {
        let run = AssertUnwindSafe(|| -> std::io::Result<()> {
            let mut errors = unsafe { std::mem::zeroed() };
            unsafe { mozjpeg_sys::jpeg_std_error(&mut errors) };
            errors.error_exit = Some(stop);
            errors.emit_message = Some(if strict { message } else { quiet });
            let decoder = mozjpeg::Decompress::builder().with_err(errors).from_mem(jpeg)?;
            if decoder.width() * decoder.height() > MAX_PIXELS {
                return Err(std::io::ErrorKind::OutOfMemory.into());
            }
            let mut rows = decoder.rgb()?;
            out.resize(rows.min_flat_buffer_size(), 0);
            rows.read_scanlines_into(out)?;
            rows.finish()
        });
        catch_unwind(run).map_err(|_| "libjpeg stopped".to_string())?.map_err(text)
    })
}

#[cfg(feature = "more")]
fn docling() -> Decode {
    Box::new(|jpeg, out| {
        let info = docling_core::jpeg::info(jpeg).map_err(text)?;
        if info.width * info.height > MAX_PIXELS || info.components == 4 {
            return Err("too large or four components".into());
        }
        *out = docling_core::jpeg::decode(jpeg, true, 1).map_err(text)?.data;
        Ok(())
    })
}

#[cfg(feature = "more")]
fn zenjpeg() -> Decode {
    use zenjpeg::decoder::{Decoder, PixelFormat};
    let decoder =
        Decoder::new().strict().max_pixels(MAX_PIXELS as u64).output_format(PixelFormat::Rgb);
    Box::new(move |jpeg, out| {
        let result = decoder.decode(jpeg, enough::Unstoppable).map_err(text)?;
        *out = result.into_pixels_u8().ok_or("no bytes")?;
        Ok(())
    })
}

/// All candidates; the reference, if built, comes first.
pub fn all() -> Vec<(&'static str, Decode)> {
    vec![
        #[cfg(feature = "turbojpeg")]
        ("turbojpeg", turbojpeg()),
        ("libjpeg-turbo-rs, strict", turbo_rs(true)),
        ("libjpeg-turbo-rs", turbo_rs(false)),
        #[cfg(feature = "mozjpeg")]
        ("mozjpeg, strict", mozjpeg(true)),
        #[cfg(feature = "mozjpeg")]
        ("mozjpeg", mozjpeg(false)),
        ("zune-jpeg, strict", zune(true)),
        ("zune-jpeg", zune(false)),
        ("jpeg-decoder", jpeg_decoder()),
        ("rusty_jpeg", rusty()),
        #[cfg(feature = "more")]
        ("docling-core", docling()),
        #[cfg(feature = "more")]
        ("zenjpeg, strict", zenjpeg()),
    ]
}
