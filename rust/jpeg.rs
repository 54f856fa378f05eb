//! Decoding photographs.
//!
//! The bytes are those of libjpeg-turbo with its defaults (accurate integer IDCT, fancy
//! upsampling), the ones `cv2.imread` and Pillow give. `libjpeg-turbo-rs` was chosen because it is
//! the only fast decoder that gives them and builds without C: docs/decoders.md has the comparison.

use libjpeg_turbo_rs::{
    DecodeLimits, Decoder, JpegError as DecoderError, PixelFormat, RestartResyncStrategy,
    ResyncAction,
};
use thiserror::Error;

use crate::simd::{Loops, vectorised};

/// Most pixels of a photograph that is decoded: 64 megapixels, four times those of a common camera.
/// Larger headers are refused before anything is allocated for them.
pub const MOST_PIXELS: u64 = 1 << 26;

/// Planes of a [`Photo`]: blue, green, red.
pub const CHANNELS: usize = 3;

/// Bytes after the last plane, so that a load of many bytes at a pixel never leaves the buffer.
pub const MARGIN: usize = 64;

/// Why a file is not a usable photograph.
#[derive(Debug, Error)]
pub enum JpegError {
    /// The file does not start like a JPEG.
    #[error("not a JPEG: {0}")]
    NotJpeg(&'static str),
    /// A kind of JPEG that the original script did not read, or one without 8-bit grey or colour.
    #[error("this kind of JPEG is not supported: {0}")]
    Unsupported(String),
    /// More pixels than allowed.
    #[error("{width} x {height} pixels are more than the {most} allowed")]
    TooLarge {
        /// The limit.
        most: u64,
        /// Width in the header.
        width: usize,
        /// Height in the header.
        height: usize,
    },
    /// The end marker is missing.
    #[error("damaged JPEG: it ends before its end marker")]
    NoEnd,
    /// The file ends early, or its content is not that of a JPEG.
    #[error("damaged JPEG: {0}")]
    Damaged(#[source] DecoderError),
}

/// A decoded photograph: planes of bytes. The buffer is reused.
#[derive(Default)]
pub struct Photo {
    width: usize,
    height: usize,
    planes: Vec<u8>,
}

/// Decodes photographs, keeping its scratch buffer between them.
#[derive(Default)]
pub struct PhotoDecoder {
    /// Blue, green and red of one pixel after the other.
    interleaved: Vec<u8>,
    /// A photograph's file, if it is not in memory already.
    pub file: Vec<u8>,
}

/// The parsed header of a JPEG.
pub struct Header<'a> {
    decoder: Decoder<'a>,
    /// EXIF orientation, 1 to 8.
    orientation: u8,
}

/// A restart marker out of turn is damage; nothing is guessed.
struct NoResync;

impl RestartResyncStrategy for NoResync {
    fn on_desync(&mut self, _expected: u8, _found: Option<u8>) -> ResyncAction {
        ResyncAction::Abort
    }
}

impl<'a> Header<'a> {
    /// Parses a header, which may promise at most `most_pixels`; decodes nothing.
    ///
    /// # Errors
    /// It is not a JPEG, not 8-bit grey or colour in Huffman coding, or too large.
    pub fn parse(jpeg: &'a [u8], most_pixels: u64) -> Result<Self, JpegError> {
        let header = Self::parse_start(jpeg, most_pixels)?;
        // The decoder does not need it: the data after the last block may be cut off.
        if !jpeg.windows(2).rev().any(|marker| marker == [0xFF, 0xD9]) {
            return Err(JpegError::NoEnd);
        }
        Ok(header)
    }

    /// The same of a file whose end may be missing, if its header is there.
    ///
    /// # Errors
    /// As [`Header::parse`]; [`JpegError::Damaged`] if the header is not all there.
    pub fn parse_start(jpeg: &'a [u8], most_pixels: u64) -> Result<Self, JpegError> {
        if jpeg.is_empty() {
            return Err(JpegError::NotJpeg("the file is empty"));
        }
        if !jpeg.starts_with(&[0xFF, 0xD8]) {
            return Err(JpegError::NotJpeg("it does not start with FF D8"));
        }
        let limits = DecodeLimits { max_pixels: most_pixels, ..DecodeLimits::default() };
        let mut decoder = Decoder::new_with_limits(jpeg, limits).map_err(JpegError::Damaged)?;
        let frame = decoder.header();
        let (width, height) = (frame.width(), frame.height());
        if width == 0 || height == 0 {
            return Err(JpegError::Unsupported(format!("{width} x {height} pixels")));
        }
        if width as u64 * height as u64 > most_pixels {
            return Err(JpegError::TooLarge { most: most_pixels, width, height });
        }
        let refused = match (frame.components.len(), frame.precision) {
            _ if decoder.is_arithmetic() => Some("arithmetic coding".to_owned()),
            _ if frame.is_lossless => Some("lossless coding".to_owned()),
            (_, bits) if bits != 8 => Some(format!("{bits} bits a sample")),
            (1 | 3, _) => None,
            (4, _) => Some("four channels (CMYK)".to_owned()),
            (n, _) => Some(format!("{n} channels")),
        };
        if let Some(what) = refused {
            return Err(JpegError::Unsupported(what));
        }
        decoder.set_output_format(PixelFormat::Bgr);
        decoder.set_block_smoothing(true); // as libjpeg-turbo has it by default
        decoder.set_stop_on_warning(true);
        decoder.set_resync_strategy(NoResync);
        let orientation = decoder.exif_orientation().unwrap_or(1);
        Ok(Header { decoder, orientation })
    }

    /// Width and height of the picture turned as EXIF says.
    pub fn size(&self) -> (usize, usize) {
        let frame = self.decoder.header();
        match self.orientation {
            5..=8 => (frame.height(), frame.width()),
            _ => (frame.width(), frame.height()),
        }
    }
}

impl Photo {
    /// A picture that is already decoded: blue, green and red of one pixel after the other.
    ///
    /// # Panics
    /// If there are not [`CHANNELS`] bytes for each of `width` x `height` pixels.
    pub fn from_bgr(width: usize, height: usize, pixels: &[u8]) -> Self {
        let mut photo = Photo::default();
        photo.fill(width, height, pixels);
        photo
    }

    fn fill(&mut self, width: usize, height: usize, pixels: &[u8]) {
        assert_eq!(pixels.len(), width * height * CHANNELS);
        let (blue, rest) = self.make(width, height).split_at_mut(width * height);
        let (green, red) = rest.split_at_mut(width * height);
        vectorised(Separate { pixels, blue, green, red });
    }

    /// Makes it a picture of this size and returns its planes, one after the other, which must all
    /// be overwritten.
    pub fn make(&mut self, width: usize, height: usize) -> &mut [u8] {
        let bytes = width * height * CHANNELS;
        (self.width, self.height) = (width, height);
        self.planes.resize(bytes + MARGIN, 0);
        &mut self.planes[..bytes]
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Row `y` of plane `channel`, see [`Picture::row`].
    pub fn row(&self, channel: usize, x: usize, y: usize) -> &[u8] {
        Picture::from(self).row(channel, x, y)
    }

    /// Its planes, blue, green and red, one after the other.
    pub fn planes(&self) -> &[u8] {
        &self.planes[..self.width * self.height * CHANNELS]
    }
}

/// Where a picture's planes are: in a [`Photo`], or elsewhere.
#[derive(Clone, Copy)]
pub struct Picture<'a> {
    width: usize,
    height: usize,
    planes: &'a [u8],
    /// Whether plane 0 is red.
    rgb: bool,
}

impl<'a> From<&'a Photo> for Picture<'a> {
    fn from(photo: &'a Photo) -> Self {
        let Photo { width, height, planes } = photo;
        Picture { width: *width, height: *height, planes, rgb: false }
    }
}

impl<'a> Picture<'a> {
    /// Planes of this size, and [`MARGIN`] bytes after them; `None` if there are fewer bytes.
    pub fn new(width: usize, height: usize, planes: &'a [u8]) -> Option<Self> {
        let bytes = width.checked_mul(height)?.checked_mul(CHANNELS)?.checked_add(MARGIN)?;
        (planes.len() >= bytes).then_some(Picture { width, height, planes, rgb: false })
    }

    /// The same with the planes in the order red, green, blue, if `rgb`.
    #[must_use]
    pub fn in_order(self, rgb: bool) -> Self {
        Picture { rgb, ..self }
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Row `y` of a plane from pixel `x` on. At least [`MARGIN`] bytes follow the row's end: other
    /// rows, or bytes without meaning.
    pub fn row(&self, channel: usize, x: usize, y: usize) -> &'a [u8] {
        let channel = if self.rgb { CHANNELS - 1 - channel } else { channel };
        &self.planes[(channel * self.height + y) * self.width + x..]
    }
}

/// Divides interleaved pixels into planes.
struct Separate<'a> {
    pixels: &'a [u8],
    blue: &'a mut [u8],
    green: &'a mut [u8],
    red: &'a mut [u8],
}

impl Loops for Separate<'_> {
    #[inline(always)]
    fn run(self) {
        let planes = self.blue.iter_mut().zip(self.green).zip(self.red);
        for (pixel, ((blue, green), red)) in self.pixels.chunks_exact(CHANNELS).zip(planes) {
            (*blue, *green, *red) = (pixel[0], pixel[1], pixel[2]);
        }
    }
}

impl PhotoDecoder {
    /// Decodes a JPEG into `photo`, turned as EXIF says.
    ///
    /// # Errors
    /// Whatever [`Header::parse`] refuses, and damage: nothing is filled with grey.
    pub fn decode(&mut self, jpeg: &[u8], photo: &mut Photo) -> Result<(), JpegError> {
        let header = Header::parse(jpeg, MOST_PIXELS)?;
        let (width, height) = header.size();
        if header.orientation > 1 {
            let image = header.decoder.decode_image().map_err(JpegError::Damaged)?;
            let image = image.apply_orientation_value(header.orientation);
            photo.fill(width, height, image.as_bytes());
        } else {
            self.interleaved.resize(width * height * CHANNELS, 0);
            header.decoder.decode_image_into(&mut self.interleaved).map_err(JpegError::Damaged)?;
            photo.fill(width, height, &self.interleaved);
        }
        Ok(())
    }
}
