//! Why a request head was refused.

/// The closed list of reasons; each has one status and one label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HeadFault {
    /// LF without CR before it.
    BareLf,
    /// CR without LF after it.
    BareCr,
    /// More than one empty line before the request line.
    LeadingLines,
    /// NUL or another control byte.
    ControlByte,
    /// Not `METHOD SP target SP version`.
    RequestLine,
    /// The method is not made of capital letters.
    Method,
    /// `CONNECT`, `TRACE` or `TRACK`.
    MethodNotServed,
    /// Neither `/…` nor `*` with `OPTIONS`.
    TargetForm,
    /// A byte that does not belong into a target.
    TargetByte,
    TargetTooLong,
    /// Not HTTP/1.1 or HTTP/1.0.
    Version,
    Http2Preface,
    HeadTooLong,
    TooManyFields,
    /// A field line that begins with a space or tab.
    FieldFolded,
    FieldWithoutColon,
    FieldName,
    /// A name that some programs read as `Content-Length` or `Transfer-Encoding`.
    FieldAlias,
    /// A field that may come once came twice.
    FieldRepeated,
    HostMissing,
    HostRepeated,
    HostGrammar,
    ContentLength,
    ContentLengthRepeated,
    TransferEncoding,
    TransferEncodingRepeated,
    /// A registered coding besides `chunked`.
    TransferCodingUnknown,
    /// `Transfer-Encoding` on HTTP/1.0.
    TransferEncodingOnOldVersion,
    /// Both `Content-Length` and `Transfer-Encoding`.
    TwoLengths,
    /// `Connection` is not a short list of tokens.
    Connection,
    /// `Connection` nominates a field that must not be dropped.
    ConnectionNominates,
    Expect,
    /// `Expect` on a request without a body.
    ExpectWithoutBody,
    /// Not one `Upgrade: websocket` on a GET of HTTP/1.1 with `Connection: upgrade`.
    Upgrade,
    UpgradeWithBody,
}

impl HeadFault {
    pub const ALL: [Self; 35] = [
        Self::BareLf,
        Self::BareCr,
        Self::LeadingLines,
        Self::ControlByte,
        Self::RequestLine,
        Self::Method,
        Self::MethodNotServed,
        Self::TargetForm,
        Self::TargetByte,
        Self::TargetTooLong,
        Self::Version,
        Self::Http2Preface,
        Self::HeadTooLong,
        Self::TooManyFields,
        Self::FieldFolded,
        Self::FieldWithoutColon,
        Self::FieldName,
        Self::FieldAlias,
        Self::FieldRepeated,
        Self::HostMissing,
        Self::HostRepeated,
        Self::HostGrammar,
        Self::ContentLength,
        Self::ContentLengthRepeated,
        Self::TransferEncoding,
        Self::TransferEncodingRepeated,
        Self::TransferCodingUnknown,
        Self::TransferEncodingOnOldVersion,
        Self::TwoLengths,
        Self::Connection,
        Self::ConnectionNominates,
        Self::Expect,
        Self::ExpectWithoutBody,
        Self::Upgrade,
        Self::UpgradeWithBody,
    ];

    /// The status the client is answered with.
    pub const fn status(self) -> u16 {
        match self {
            Self::MethodNotServed => 405,                   // RFC 9110 §15.5.6
            Self::TargetTooLong => 414,                     // RFC 9110 §15.5.15
            Self::Expect => 417,                            // RFC 9110 §15.5.18
            Self::HeadTooLong | Self::TooManyFields => 431, // RFC 6585 §5
            Self::TransferCodingUnknown => 501,             // RFC 9112 §6.1
            Self::Version => 505,                           // RFC 9110 §15.6.6
            Self::BareLf
            | Self::BareCr
            | Self::LeadingLines
            | Self::ControlByte
            | Self::RequestLine
            | Self::Method
            | Self::TargetForm
            | Self::TargetByte
            | Self::Http2Preface
            | Self::FieldFolded
            | Self::FieldWithoutColon
            | Self::FieldName
            | Self::FieldAlias
            | Self::FieldRepeated
            | Self::HostMissing
            | Self::HostRepeated
            | Self::HostGrammar
            | Self::ContentLength
            | Self::ContentLengthRepeated
            | Self::TransferEncoding
            | Self::TransferEncodingRepeated
            | Self::TransferEncodingOnOldVersion
            | Self::TwoLengths
            | Self::Connection
            | Self::ConnectionNominates
            | Self::ExpectWithoutBody
            | Self::Upgrade
            | Self::UpgradeWithBody => 400,
        }
    }

    /// For metrics and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::BareLf => "bare_lf",
            Self::BareCr => "bare_cr",
            Self::LeadingLines => "leading_lines",
            Self::ControlByte => "control_byte",
            Self::RequestLine => "request_line",
            Self::Method => "method",
            Self::MethodNotServed => "method_not_served",
            Self::TargetForm => "target_form",
            Self::TargetByte => "target_byte",
            Self::TargetTooLong => "target_too_long",
            Self::Version => "version",
            Self::Http2Preface => "http2_preface",
            Self::HeadTooLong => "head_too_long",
            Self::TooManyFields => "too_many_fields",
            Self::FieldFolded => "field_folded",
            Self::FieldWithoutColon => "field_without_colon",
            Self::FieldName => "field_name",
            Self::FieldAlias => "field_alias",
            Self::FieldRepeated => "field_repeated",
            Self::HostMissing => "host_missing",
            Self::HostRepeated => "host_repeated",
            Self::HostGrammar => "host_grammar",
            Self::ContentLength => "content_length",
            Self::ContentLengthRepeated => "content_length_repeated",
            Self::TransferEncoding => "transfer_encoding",
            Self::TransferEncodingRepeated => "transfer_encoding_repeated",
            Self::TransferCodingUnknown => "transfer_coding_unknown",
            Self::TransferEncodingOnOldVersion => "transfer_encoding_on_old_version",
            Self::TwoLengths => "two_lengths",
            Self::Connection => "connection",
            Self::ConnectionNominates => "connection_nominates",
            Self::Expect => "expect",
            Self::ExpectWithoutBody => "expect_without_body",
            Self::Upgrade => "upgrade",
            Self::UpgradeWithBody => "upgrade_with_body",
        }
    }
}
